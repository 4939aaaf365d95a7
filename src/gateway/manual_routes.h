// Models routed by hand through the admin API, kept in a file so that they survive a restart; on a cluster
// config_map_routes.h keeps them. One loop.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/network.h"
#include "json/value.h"
#include "net/address.h"

namespace llmd::gateway {

// One of url, service and pool says where to.
struct ManualRoute {
  struct Service {
    std::string name;
    std::string name_space;
    std::int64_t port = 0;
    bool operator==(const Service&) const = default;
  };
  std::string model;
  std::string owner;         // empty: what the engine says, or nothing
  std::string target_model;  // the name the engine knows; empty: model
  std::optional<net::Address> url;
  std::optional<Service> service;
  std::string pool;  // namespace/name
  double weight = 1;
  bool by_default = false;  // preferred when the client names no owner
  bool override_discovered = false;
  std::optional<WallTime> expires;  // from ttl

  std::string key() const { return model + "\n" + owner; }
};

// {"model", "owned_by", "url" | "service": {name, namespace, port} | "pool", "targetModel", "weight",
// "default", "ttl" (seconds, or "10m"), "override"}. InvalidArgument says what is wrong with which member;
// PermissionDenied: the address is outside the allowed networks.
Result<ManualRoute> parse_manual_route(const json::Value& body, std::span<const Network> allowed,
                                       WallTime now);
json::Object to_json(const ManualRoute& route);

class ManualRoutes {
 public:
  // An empty path keeps nothing. A file that cannot be read is an error: it must not be overwritten.
  static Result<ManualRoutes> open(std::filesystem::path path);

  // From the text that text() gives; `source` is named by mistakes. They are kept nowhere.
  static Result<ManualRoutes> parse(std::string_view text, std::string_view source);
  std::string text() const;

  const std::map<std::string, ManualRoute>& all() const { return routes_; }
  // True: it is new; false: it replaces one.
  Result<bool> put(ManualRoute route);
  // How many went. `owner` absent: all owners of the model.
  Result<int> remove(std::string_view model, std::optional<std::string_view> owner);
  // Forgets what has expired.
  void expire(WallTime now);

 private:
  Result<void> save() const;

  std::filesystem::path path_;
  std::map<std::string, ManualRoute> routes_;
};

}  // namespace llmd::gateway
