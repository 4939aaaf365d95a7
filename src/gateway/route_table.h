// What the gateway knows about routing: rules in Gateway API's order and the endpoints behind them. Plain
// data, built by build_routes() and never changed afterwards; any thread.
//
// Which rule wins: the listener (by port, then the most specific hostname), the route's host (exact before
// wildcard, longer before shorter, none last), then the path (exact, then a regular expression, then the
// longest prefix), then a method match, more header matches, more query matches; then the older route, the
// name, the order in the route.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "gateway/filters.h"
#include "gateway/pattern.h"
#include "http/message.h"
#include "net/address.h"
#include "picker/endpoint.h"

namespace llmd::gateway {

struct BackendRef {
  std::string key;  // of RouteTable::backends; empty: the reference is invalid
  std::string problem;
  int weight = 1;
  std::shared_ptr<const Filters> filters = {};  // of this reference alone; may be null
};

struct Rule : Filters {
  std::string route;  // namespace/name of the HTTPRoute or GRPCRoute
  bool grpc = false;  // of a GRPCRoute
  std::vector<BackendRef> backends;
  std::optional<Duration> request_timeout;  // of the whole exchange; 0s: none; absent: the gateway's own
  std::optional<Duration> attempt_timeout;  // of each try (timeouts.backendRequest)
  std::string problem;                      // why nothing can be served by this rule; empty: fine
};

// A header or query parameter with this value, or with one that the pattern accepts.
struct ValueMatch {
  std::string name;
  std::string value;
  std::shared_ptr<const Pattern> pattern = {};
  bool accepts(std::string_view found) const {
    return pattern != nullptr ? pattern->matches(found) : found == value;
  }
};

struct Match {
  enum class Path { Exact, Regex, Prefix };
  Path kind = Path::Prefix;
  std::string path = "/";
  std::shared_ptr<const Pattern> pattern = {};  // of Path::Regex
  std::string method = {};                      // empty: any
  std::vector<ValueMatch> headers = {};         // all must be there
  std::vector<ValueMatch> query = {};
  std::shared_ptr<const Rule> rule = {};
  // For ties.
  std::string created = {};
  std::size_t order = 0;

  bool accepts(const http::RequestHead& request) const;
};

// A picker that runs elsewhere and is asked over ext_proc.
struct ExternalPicker {
  std::string name;                     // of its Service and port, for people
  std::vector<net::Address> addresses;  // ready ones
  bool tls = true;                      // its certificate is not verified: pickers make their own
  bool fail_open = false;               // without it any ready endpoint serves; otherwise nobody (503)
  bool operator==(const ExternalPicker&) const = default;
};

// How a backend that speaks TLS is known (BackendTLSPolicy).
struct BackendTls {
  std::string ca_pem;       // empty: the system's
  std::string server_name;  // that its certificate must be for
  auto operator<=>(const BackendTls&) const = default;
};

// How a backend is spoken to.
struct BackendProtocol {
  bool http2 = false;                  // appProtocol kubernetes.io/h2c
  std::optional<BackendTls> tls = {};  // absent: plaintext
  bool operator==(const BackendProtocol&) const = default;
};

// One Service (and port) or one InferencePool that rules refer to.
struct Backend {
  std::vector<picker::Endpoint> ready;
  std::size_t not_ready = 0;  // endpoints that may become ready
  bool pool = false;          // an InferencePool
  BackendProtocol protocol = {};
  std::shared_ptr<const ExternalPicker> external = {};      // null: picked in process
  std::map<std::string, int, std::less<>> priorities = {};  // by InferenceObjective; others: 0
};

// Where requests come in, of all Gateways: to be opened by those who open listeners.
struct ListenerDoor {
  std::uint16_t port = 0;
  bool tls = false;
  struct Certificate {
    std::string hostname;  // of the listener; empty: any
    std::string certificate_pem;
    std::string key_pem;
    bool operator==(const Certificate&) const = default;
  };
  std::vector<Certificate> certificates = {};
  bool operator==(const ListenerDoor&) const = default;
};

class RouteTable {
 public:
  // `hostname` empty: any. Call seal() after the last. A route of a Gateway's listener is found by requests
  // to the listener's port and, like all others, by requests to port 0.
  void add(std::string_view hostname, Match match) { add(0, {}, hostname, std::move(match)); }
  void add(std::uint16_t port, std::string_view listener, std::string_view hostname, const Match& match);
  // A listener without routes still keeps its hosts from others.
  void add_listener(std::uint16_t port, std::string_view listener);
  void seal();

  // Null: no rule accepts the request. `port` 0: all listeners count, whatever their port.
  const Match* find(const http::RequestHead& request, std::uint16_t port = 0) const;
  // Paths with their routes, for people who missed them: the `most` nearest to `path`.
  std::vector<std::string> nearest(std::string_view path, std::size_t most) const;
  std::size_t size() const;  // different paths

  std::map<std::string, Backend> backends;
  std::vector<ListenerDoor> doors;

 private:
  struct ViewHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using ByPath = std::unordered_map<std::string, std::vector<Match>, ViewHash, std::equal_to<>>;
  struct Host {
    std::string name;  // "a.example", "*.example" or empty
    ByPath exact = {};
    std::vector<Match> patterns = {};
    ByPath prefix = {};  // keys without a trailing slash; "" is the root
  };
  struct Listener {
    std::string hostname;
    std::vector<Host> hosts = {};  // the most specific first
  };
  Listener& listener_at(std::uint16_t port, std::string_view hostname);
  static void add_to(Listener& listener, std::string_view hostname, Match match);
  static const Match* find_in(const Host& host, const http::RequestHead& request);
  std::vector<std::string> describe() const;

  std::map<std::uint16_t, std::vector<Listener>> listeners_;  // by port; the most specific first
};

}  // namespace llmd::gateway
