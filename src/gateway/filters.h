// What a rule or a backend does to requests and answers, beside choosing where they go. Plain data made by
// parse_filters(); the functions that apply it are pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"
#include "kube/object.h"

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

// Fields that are empty or 0 are taken from the request.
struct Redirect {
  std::string scheme;
  std::string hostname;
  PathRewrite path;
  int port = 0;
  int status = 302;
  // `listener_port` 0: the port that the client named in Host.
  std::string location(const http::RequestHead& request, std::string_view matched_prefix,
                       std::string_view request_scheme, int listener_port) const;
};

// A copy of some requests goes to a backend whose answer nobody waits for.
struct Mirror {
  std::string key;  // of RouteTable::backends
  int numerator = 100;
  int denominator = 100;
  bool chooses(unsigned turn) const;
};

// Cross-origin rules (Fetch standard): the gateway answers preflights itself and marks other answers.
struct Cors {
  std::vector<std::string> origins;  // "*", "https://a.example", "https://*.a.example"
  std::vector<std::string> methods;
  std::vector<std::string> headers;
  std::vector<std::string> exposed;
  bool credentials = false;
  int max_age_seconds = 5;

  bool allows(std::string_view origin) const;
  // The answer to a preflight; nullopt when the request is none.
  std::optional<http::ResponseHead> preflight(const http::RequestHead& request) const;
  void mark(const http::RequestHead& request, http::Headers& answer) const;
};

struct Filters {
  PathRewrite rewrite;
  std::string host_rewrite;  // empty: as it came
  HeaderEdits request_edits;
  HeaderEdits response_edits;
  std::optional<Redirect> redirect;
  std::vector<Mirror> mirrors;
  std::optional<Cors> cors;
};

// A filter list of a rule or of a backend reference. A mirror's backend is left to the caller, who gets the
// filter and its reference.
struct ParsedFilters {
  Filters filters;
  struct MirrorRef {
    Mirror mirror;
    const kube::Object* reference;
  };
  std::vector<MirrorRef> mirrors;
  std::string problem;      // why the list cannot be followed; empty: it can
  std::string_view reason;  // of the condition that says so
};
ParsedFilters parse_filters(const kube::Object& holder);

// Lower case, without the port; brackets of IPv6 stay.
std::string_view host_without_port(std::string_view host);

}  // namespace llmd::gateway
