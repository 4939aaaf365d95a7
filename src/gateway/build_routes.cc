#include "gateway/build_routes.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

using boost::json::array;
using kube::find_array;
using kube::find_int;
using kube::find_object;
using kube::find_string;

// The objects below an array; things that are no objects are skipped.
std::vector<const kube::Object*> objects_in(const kube::Object& parent, std::string_view path) {
  std::vector<const kube::Object*> found;
  if (const array* items = find_array(parent, path)) {
    for (const auto& item : *items) {
      if (item.is_object()) {
        found.push_back(&item.get_object());
      }
    }
  }
  return found;
}

std::vector<std::string> strings_in(const kube::Object& parent, std::string_view path) {
  std::vector<std::string> found;
  if (const array* items = find_array(parent, path)) {
    for (const auto& item : *items) {
      if (item.is_string()) {
        found.emplace_back(std::string_view(item.get_string()));
      }
    }
  }
  return found;
}

std::vector<NameValue> pairs_in(const kube::Object& parent, std::string_view path) {
  std::vector<NameValue> found;
  for (const kube::Object* item : objects_in(parent, path)) {
    found.push_back({std::string(find_string(*item, "name")), std::string(find_string(*item, "value"))});
  }
  return found;
}

HeaderEdits edits_of(const kube::Object& filter, std::string_view member) {
  const kube::Object* edits = find_object(filter, member);
  if (edits == nullptr) {
    return {};
  }
  return {pairs_in(*edits, "set"), pairs_in(*edits, "add"), strings_in(*edits, "remove")};
}

class Builder {
 public:
  explicit Builder(const RouteObjects& objects) : objects_(objects) {}

  RouteTable build() {
    for (const kube::Object* route : objects_.http_routes) {
      if (!kube::is_being_deleted(*route)) {
        add_route(*route);
      }
    }
    table_.seal();
    return std::move(table_);
  }

 private:
  void add_route(const kube::Object& route) {
    auto hostnames = strings_in(route, "spec.hostnames");
    if (hostnames.empty()) {
      hostnames.emplace_back();
    }
    std::size_t order = 0;
    for (const kube::Object* rule_object : objects_in(route, "spec.rules")) {
      const auto rule = std::make_shared<const Rule>(make_rule(route, *rule_object));
      for (Match match : matches_of(*rule_object, *rule)) {
        match.rule = rule;
        match.created = find_string(route, "metadata.creationTimestamp");
        match.order = order++;
        for (const std::string& hostname : hostnames) {
          table_.add(hostname, match);
        }
      }
    }
  }

  // A match that cannot be evaluated matches nothing: serving it wider than it was written would be worse.
  std::vector<Match> matches_of(const kube::Object& rule_object, const Rule&) {
    std::vector<Match> matches;
    const auto written = objects_in(rule_object, "matches");
    if (written.empty()) {
      matches.emplace_back();
    }
    for (const kube::Object* object : written) {
      if (auto match = match_of(*object)) {
        matches.push_back(std::move(*match));
      }
    }
    return matches;
  }

  static std::optional<Match> match_of(const kube::Object& object) {
    Match match;
    const std::string_view kind = find_string(object, "path.type");
    if (kind == "Exact") {
      match.kind = Match::Path::Exact;
    } else if (!kind.empty() && kind != "PathPrefix") {
      return std::nullopt;
    }
    if (const std::string_view path = find_string(object, "path.value"); !path.empty()) {
      match.path = path;
    }
    match.method = find_string(object, "method");
    for (const char* member : {"headers", "queryParams"}) {
      for (const kube::Object* item : objects_in(object, member)) {
        const std::string_view type = find_string(*item, "type");
        if (!type.empty() && type != "Exact") {
          return std::nullopt;
        }
      }
    }
    match.headers = pairs_in(object, "headers");
    match.query = pairs_in(object, "queryParams");
    return match;
  }

  Rule make_rule(const kube::Object& route, const kube::Object& object) {
    Rule rule;
    rule.route = kube::key_of(route).to_string();
    for (const kube::Object* filter : objects_in(object, "filters")) {
      add_filter(*filter, rule);
    }
    for (const kube::Object* reference : objects_in(object, "backendRefs")) {
      rule.backends.push_back(backend_of(route, *reference));
    }
    if (rule.backends.empty() && rule.problem.empty()) {
      rule.problem = "the rule has no backend";
    }
    const auto timeout = parse_duration(find_string(object, "timeouts.request"));
    if (timeout && *timeout > Duration::zero()) {
      rule.request_timeout = *timeout;
    }
    return rule;
  }

  static void add_filter(const kube::Object& filter, Rule& rule) {
    const std::string_view type = find_string(filter, "type");
    if (type == "URLRewrite") {
      const std::string_view kind = find_string(filter, "urlRewrite.path.type");
      rule.host_rewrite = find_string(filter, "urlRewrite.hostname");
      if (kind == "ReplacePrefixMatch") {
        rule.rewrite = {PathRewrite::Kind::PrefixMatch,
                        std::string(find_string(filter, "urlRewrite.path.replacePrefixMatch"))};
      } else if (kind == "ReplaceFullPath") {
        rule.rewrite = {PathRewrite::Kind::FullPath,
                        std::string(find_string(filter, "urlRewrite.path.replaceFullPath"))};
      }
    } else if (type == "RequestHeaderModifier") {
      rule.request_edits = edits_of(filter, "requestHeaderModifier");
    } else if (type == "ResponseHeaderModifier") {
      rule.response_edits = edits_of(filter, "responseHeaderModifier");
    } else {
      rule.problem = fmt::format("filter {} is not supported", type);
    }
  }

  BackendRef backend_of(const kube::Object& route, const kube::Object& reference) {
    BackendRef backend;
    backend.weight = static_cast<int>(find_int(reference, "weight", 1));
    std::string_view kind = find_string(reference, "kind");
    kind = kind.empty() ? "Service" : kind;
    std::string_view name_space = find_string(reference, "namespace");
    name_space = name_space.empty() ? kube::namespace_of(route) : name_space;
    const std::string_view name = find_string(reference, "name");
    if (kind != "Service" || !find_string(reference, "group").empty()) {
      backend.problem = fmt::format("backend {} {}/{}: this kind is not supported", kind, name_space, name);
      return backend;
    }
    if (name_space != kube::namespace_of(route)) {
      backend.problem =
          fmt::format("backend Service {}/{} is in another namespace than its route", name_space, name);
      return backend;
    }
    const kube::Object* service = find_service(name_space, name);
    if (service == nullptr) {
      backend.problem = fmt::format("backend Service {}/{} does not exist", name_space, name);
      return backend;
    }
    const std::int64_t port = find_int(reference, "port", 0);
    const kube::Object* service_port = port_of(*service, port);
    if (service_port == nullptr) {
      backend.problem = fmt::format("backend Service {}/{} has no port {}", name_space, name, port);
      return backend;
    }
    backend.key = fmt::format("{}/{}:{}", name_space, name, find_int(*service_port, "port", 0));
    if (!table_.backends.contains(backend.key)) {
      table_.backends.emplace(backend.key, endpoints_of(*service, find_string(*service_port, "name")));
    }
    return backend;
  }

  const kube::Object* find_service(std::string_view name_space, std::string_view name) const {
    const auto found = std::ranges::find_if(objects_.services, [&](const kube::Object* service) {
      return kube::name_of(*service) == name && kube::namespace_of(*service) == name_space;
    });
    return found == objects_.services.end() ? nullptr : *found;
  }

  static const kube::Object* port_of(const kube::Object& service, std::int64_t wanted) {
    const auto ports = objects_in(service, "spec.ports");
    for (const kube::Object* port : ports) {
      if (find_int(*port, "port", -1) == wanted || (wanted == 0 && ports.size() == 1)) {
        return port;
      }
    }
    return nullptr;
  }

  Backend endpoints_of(const kube::Object& service, std::string_view port_name) const {
    Backend backend;
    for (const kube::Object* slice : objects_.endpoint_slices) {
      if (kube::label_of(*slice, "kubernetes.io/service-name") != kube::name_of(service) ||
          kube::namespace_of(*slice) != kube::namespace_of(service)) {
        continue;
      }
      for (const kube::Object* port : objects_in(*slice, "ports")) {
        if (find_string(*port, "name") == port_name) {
          add_endpoints(*slice, static_cast<std::uint16_t>(find_int(*port, "port", 0)), backend);
        }
      }
    }
    return backend;
  }

  static void add_endpoints(const kube::Object& slice, std::uint16_t port, Backend& backend) {
    for (const kube::Object* endpoint : objects_in(slice, "endpoints")) {
      const auto addresses = strings_in(*endpoint, "addresses");
      if (addresses.empty() || kube::find_bool(*endpoint, "conditions.terminating", false)) {
        continue;
      }
      if (!kube::find_bool(*endpoint, "conditions.ready", true)) {
        ++backend.not_ready;
        continue;
      }
      const std::string_view pod = find_string(*endpoint, "targetRef.name");
      backend.ready.push_back({.address = {addresses.front(), port},
                               .name = std::string(pod.empty() ? addresses.front() : pod),
                               .labels = {}});
    }
  }

  const RouteObjects& objects_;
  RouteTable table_;
};

}  // namespace

RouteTable build_routes(const RouteObjects& objects) {
  return Builder(objects).build();
}

}  // namespace llmd::gateway
