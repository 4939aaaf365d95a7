#include "gateway/manual_routes.h"

#include <array>

#include "base/file.h"
#include "base/strings.h"
#include "json/path.h"

namespace llmd::gateway {
namespace {

constexpr std::array<std::string_view, 10> kMembers{"model",  "owned_by", "url", "service",  "pool",
                                                    "weight", "default",  "ttl", "override", "targetModel"};

Result<void> refuse_unknown(const json::Object& body) {
  for (const auto& [name, value] : body) {
    if (std::ranges::find(kMembers, std::string_view(name)) == kMembers.end()) {
      return invalid_argument("unknown member \"{}\"", std::string_view(name))
          .hint(did_you_mean(name, kMembers));
    }
  }
  return {};
}

Result<std::string> text_member(const json::Value& body, std::string_view name) {
  const json::Value* value = json::find(body, name);
  if (value == nullptr || value->is_null()) {
    return std::string();
  }
  if (!value->is_string()) {
    return invalid_argument("{}: expected a string, got {}", name, json::kind_name(*value));
  }
  return std::string(std::string_view(value->get_string()));
}

Result<net::Address> parse_url(std::string_view url, std::span<const Network> allowed) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) {
    return invalid_argument("url: expected http://ADDRESS:PORT, got \"{}\"", url);
  }
  std::string_view place = url.substr(kScheme.size());
  place = place.ends_with('/') ? place.substr(0, place.size() - 1) : place;
  auto address = net::parse_address(place);
  if (!address || place.find('/') != std::string_view::npos || address->port == 0) {
    return invalid_argument("url: expected http://ADDRESS:PORT without a path, got \"{}\"", url);
  }
  if (address->host == "localhost") {
    address->host = "127.0.0.1";
  }
  // Names are not resolved: what they resolve to may change after it was checked.
  if (!contains(allowed, address->host)) {
    return Error{ErrorKind::PermissionDenied,
                 fmt::format("url: {} is not an address inside the allowed networks", address->host),
                 "list its network under admin.allowedNetworks of the GatewayConfiguration"};
  }
  return *address;
}

Result<std::optional<WallTime>> parse_ttl(const json::Value& body, WallTime now) {
  const json::Value* ttl = json::find(body, "ttl");
  if (ttl == nullptr || ttl->is_null()) {
    return std::nullopt;
  }
  Duration duration{};
  if (const auto seconds = json::as_integer(*ttl)) {
    duration = std::chrono::seconds(*seconds);
  } else if (ttl->is_string()) {
    LLMD_TRY(duration, parse_duration(std::string_view(ttl->get_string())));
  } else {
    return invalid_argument("ttl: expected seconds or a duration such as \"10m\"");
  }
  if (duration <= Duration::zero()) {
    return invalid_argument("ttl: must be positive");
  }
  return now + std::chrono::duration_cast<WallTime::duration>(duration);
}

Result<void> parse_place(const json::Value& body, std::span<const Network> allowed, ManualRoute& route) {
  LLMD_TRY(const auto url, text_member(body, "url"));
  LLMD_TRY(route.pool, text_member(body, "pool"));
  const json::Object* service = json::object_at(body, "service");
  const int places = (url.empty() ? 0 : 1) + (service != nullptr ? 1 : 0) + (route.pool.empty() ? 0 : 1);
  if (places != 1) {
    return invalid_argument("exactly one of url, service and pool must be given, got {}", places);
  }
  if (!url.empty()) {
    LLMD_TRY(route.url, parse_url(url, allowed));
  }
  if (service != nullptr) {
    route.service = {
        .name = std::string(json::string_at(body, "service.name").value_or("")),
        .name_space = std::string(json::string_at(body, "service.namespace").value_or("default")),
        .port = json::int_at(body, "service.port").value_or(0)};
    if (route.service->name.empty() || route.service->port <= 0) {
      return invalid_argument("service: name and port must be given");
    }
  }
  if (!route.pool.empty() && route.pool.find('/') == std::string::npos) {
    route.pool = "default/" + route.pool;
  }
  return {};
}

}  // namespace

Result<ManualRoute> parse_manual_route(const json::Value& body, std::span<const Network> allowed,
                                       WallTime now) {
  if (!body.is_object()) {
    return invalid_argument("expected an object, got {}", json::kind_name(body));
  }
  LLMD_TRY_VOID(refuse_unknown(body.get_object()));
  ManualRoute route;
  LLMD_TRY(route.model, text_member(body, "model"));
  LLMD_TRY(route.owner, text_member(body, "owned_by"));
  LLMD_TRY(route.target_model, text_member(body, "targetModel"));
  route.owner = to_lower(route.owner);
  if (route.model.empty()) {
    return invalid_argument("model: must be given");
  }
  LLMD_TRY_VOID(parse_place(body, allowed, route));
  route.weight = json::double_at(body, "weight").value_or(1);
  if (!(route.weight > 0)) {
    return invalid_argument("weight: must be positive");
  }
  route.by_default = json::bool_at(body, "default").value_or(false);
  route.override_discovered = json::bool_at(body, "override").value_or(false);
  LLMD_TRY(route.expires, parse_ttl(body, now));
  return route;
}

json::Object to_json(const ManualRoute& route) {
  json::Object object;
  object["model"] = route.model;
  object["owned_by"] = route.owner;
  if (route.url) {
    object["url"] = "http://" + route.url->to_string();
  }
  if (route.service) {
    object["service"] = {{"name", route.service->name},
                         {"namespace", route.service->name_space},
                         {"port", route.service->port}};
  }
  if (!route.pool.empty()) {
    object["pool"] = route.pool;
  }
  if (!route.target_model.empty()) {
    object["targetModel"] = route.target_model;
  }
  object["weight"] = route.weight;
  object["default"] = route.by_default;
  object["override"] = route.override_discovered;
  if (route.expires) {
    object["expires"] = to_rfc3339(*route.expires);
  }
  return object;
}

Result<ManualRoutes> ManualRoutes::open(std::filesystem::path path) {
  ManualRoutes routes;
  routes.path_ = std::move(path);
  if (routes.path_.empty() || !std::filesystem::exists(routes.path_)) {
    return routes;
  }
  LLMD_TRY(const auto text, read_file(routes.path_));
  LLMD_TRY(auto read, parse(text, routes.path_.string()));
  routes.routes_ = std::move(read.routes_);
  return routes;
}

Result<ManualRoutes> ManualRoutes::parse(std::string_view text, std::string_view source) {
  ManualRoutes routes;
  const auto parsed = json::parse(text);
  const json::Array* entries = parsed ? json::array_at(*parsed, "routes") : nullptr;
  if (entries == nullptr) {
    return data_loss("{}: expected {{\"routes\": [...]}}", source).hint("repair or remove it");
  }
  // What was allowed when it was written stays allowed.
  const Network everything[] = {Network::parse("0.0.0.0/0").value(), Network::parse("::/0").value()};
  for (const json::Value& entry : *entries) {
    json::Value body = entry;
    std::optional<WallTime> expires;
    if (const auto text_of_expiry = json::string_at(body, "expires")) {
      LLMD_TRY(expires, parse_rfc3339(*text_of_expiry));
    }
    if (body.is_object()) {
      body.get_object().erase("expires");
    }
    auto route = parse_manual_route(body, everything, WallTime());
    if (!route) {
      return std::unexpected(std::move(route).error().within(source));
    }
    route->expires = expires;
    routes.routes_.insert_or_assign(route->key(), std::move(*route));
  }
  return routes;
}

Result<bool> ManualRoutes::put(ManualRoute route) {
  const std::string key = route.key();
  const bool is_new = routes_.insert_or_assign(key, std::move(route)).second;
  LLMD_TRY_VOID(save());
  return is_new;
}

Result<int> ManualRoutes::remove(std::string_view model, std::optional<std::string_view> owner) {
  const auto removed = std::erase_if(routes_, [&](const auto& entry) {
    return entry.second.model == model && (!owner || equals_ignoring_case(entry.second.owner, *owner));
  });
  if (removed > 0) {
    LLMD_TRY_VOID(save());
  }
  return static_cast<int>(removed);
}

void ManualRoutes::expire(WallTime now) {
  std::erase_if(routes_,
                [&](const auto& entry) { return entry.second.expires && *entry.second.expires <= now; });
}

std::string ManualRoutes::text() const {
  json::Array entries;
  for (const auto& [key, route] : routes_) {
    entries.push_back(to_json(route));
  }
  json::Object document;
  document["routes"] = std::move(entries);
  return json::write_pretty(json::Value(std::move(document)));
}

Result<void> ManualRoutes::save() const {
  return path_.empty() ? Result<void>() : write_file_atomically(path_, text(), 0600);
}

}  // namespace llmd::gateway
