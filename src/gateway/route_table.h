// What the gateway knows about routing: rules in Gateway API's order and the endpoints behind them. Plain
// data, built by build_routes() and never changed afterwards; any thread.
//
// Which rule wins: the host (exact before wildcard, longer before shorter, none last), then the path (exact,
// then the longest prefix), then a method match, more header matches, more query matches; then the older
// route, the name, the order in the route.
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
#include "http/message.h"
#include "picker/endpoint.h"

namespace llmd::gateway {

struct NameValue {
  std::string name;
  std::string value;
  bool operator==(const NameValue&) const = default;
};

struct HeaderEdits {
  std::vector<NameValue> set;
  std::vector<NameValue> add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
  void apply(http::Headers& headers) const;
};

struct PathRewrite {
  enum class Kind { None, FullPath, PrefixMatch };
  Kind kind = Kind::None;
  std::string value;
  // The target for a request whose path matched with `matched_prefix`. The query stays.
  std::string apply(std::string_view target, std::string_view matched_prefix) const;
};

struct BackendRef {
  std::string key;  // of RouteTable::backends; empty: the reference is invalid
  std::string problem;
  int weight = 1;
};

struct Rule {
  std::string route;  // namespace/name of the HTTPRoute
  std::vector<BackendRef> backends;
  PathRewrite rewrite;
  std::string host_rewrite;  // empty: as it came
  HeaderEdits request_edits;
  HeaderEdits response_edits;
  std::optional<Duration> request_timeout;  // of the whole exchange; absent or 0s: none
  std::string problem;                      // why nothing can be served by this rule; empty: fine
};

struct Match {
  enum class Path { Exact, Prefix };
  Path kind = Path::Prefix;
  std::string path = "/";
  std::string method;              // empty: any
  std::vector<NameValue> headers;  // all must be there with this value
  std::vector<NameValue> query;
  std::shared_ptr<const Rule> rule;
  // For ties.
  std::string created;
  std::size_t order = 0;

  bool accepts(const http::RequestHead& request) const;
};

// One Service (and port) that rules refer to.
struct Backend {
  std::vector<picker::Endpoint> ready;
  std::size_t not_ready = 0;  // endpoints that may become ready
};

class RouteTable {
 public:
  // `hostname` empty: any. Call seal() after the last.
  void add(std::string_view hostname, Match match);
  void seal();

  // Null: no rule accepts the request.
  const Match* find(const http::RequestHead& request) const;
  // Paths with their routes, for people who missed them.
  std::vector<std::string> describe() const;

  std::map<std::string, Backend> backends;

 private:
  struct ViewHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using ByPath = std::unordered_map<std::string, std::vector<Match>, ViewHash, std::equal_to<>>;
  struct Host {
    std::string name;  // "a.example", "*.example" or empty
    ByPath exact;
    ByPath prefix;  // keys without a trailing slash; "" is the root
  };
  static const Match* find_in(const Host& host, const http::RequestHead& request);

  std::vector<Host> hosts_;  // the most specific first
};

}  // namespace llmd::gateway
