#include "operator/service_url.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <tuple>

#include "base/strings.h"

namespace llmd::operators {
namespace {

struct Candidate {
  bool is_internal = false;
  bool is_plain = false;
  std::string url;
  auto operator<=>(const Candidate&) const = default;
};

std::vector<const kube::Object*> objects_of(const kube::Object& object, std::string_view path) {
  std::vector<const kube::Object*> objects;
  if (const auto* list = kube::find_array(object, path)) {
    for (const auto& each : *list) {
      if (each.is_object()) {
        objects.push_back(&each.get_object());
      }
    }
  }
  return objects;
}

bool is_internal(std::string_view host) {
  static constexpr std::array<std::string_view, 7> kBegins{"10.", "127.", "192.168.", "::1",
                                                           "fc",  "fd",   "fe80"};
  static constexpr std::array<std::string_view, 3> kEnds{".local", ".localhost", ".internal"};
  const bool is_number = host.find_first_not_of("0123456789abcdef.:") == std::string_view::npos;
  if (host.starts_with("172.") && is_number) {
    const auto second = parse_integer(host.substr(4, host.find('.', 4) - 4));
    return second && *second >= 16 && *second <= 31;
  }
  return host == "localhost" ||
         (is_number && std::ranges::any_of(kBegins, [&](auto each) { return host.starts_with(each); })) ||
         std::ranges::any_of(kEnds, [&](auto each) { return host.ends_with(each); });
}

// The shallowest path of the route; those for publishers and those that need a header are for other callers.
std::string path_of(const kube::Object& route) {
  std::vector<std::tuple<std::ptrdiff_t, std::size_t, std::string>> paths;
  for (const kube::Object* rule : objects_of(route, "spec.rules")) {
    for (const kube::Object* match : objects_of(*rule, "matches")) {
      const std::string path(kube::find_string(*match, "path.value"));
      const bool is_pattern = kube::find_string(*match, "path.type") == "RegularExpression";
      if (!is_pattern && !match->contains("headers") && !path.starts_with("/publishers/")) {
        paths.emplace_back(std::ranges::count(path, '/'), path.size(), path);
      }
    }
  }
  const auto shallowest = std::ranges::min_element(paths);
  const std::string path = shallowest == paths.end() ? std::string() : std::get<std::string>(*shallowest);
  return path == "/" ? std::string() : path;
}

std::vector<std::string> hosts_of(const kube::Object& route, const kube::Object& listener,
                                  const kube::Object& gateway) {
  std::vector<std::string> hosts;
  if (const auto* named = kube::find_array(route, "spec.hostnames")) {
    for (const auto& each : *named) {
      if (each.is_string() && !each.get_string().starts_with("*")) {
        hosts.emplace_back(std::string_view(each.get_string()));
      }
    }
  }
  const std::string_view host = kube::find_string(listener, "hostname");
  if (hosts.empty() && !host.empty()) {
    hosts.push_back(host.starts_with("*.") ? "inference" + std::string(host.substr(1)) : std::string(host));
  }
  if (hosts.empty()) {
    for (const kube::Object* address : objects_of(gateway, "status.addresses")) {
      hosts.emplace_back(kube::find_string(*address, "value"));
    }
  }
  return hosts;
}

void add_candidates(const kube::Object& route, const kube::Object& listener, const kube::Object& gateway,
                    std::vector<Candidate>& out) {
  const std::string_view protocol = kube::find_string(listener, "protocol");
  if (protocol != "HTTP" && protocol != "HTTPS") {
    return;
  }
  const bool is_plain = protocol == "HTTP";
  const auto port = kube::find_int(listener, "port", 0);
  const std::string suffix = port == (is_plain ? 80 : 443) ? std::string() : fmt::format(":{}", port);
  for (const std::string& host : hosts_of(route, listener, gateway)) {
    const bool is_v6 = host.find(':') != std::string::npos;
    out.push_back({.is_internal = is_internal(host),
                   .is_plain = is_plain,
                   .url = fmt::format("{}://{}{}{}", is_plain ? "http" : "https",
                                      is_v6 ? "[" + host + "]" : host, suffix, path_of(route))});
  }
}

bool refers_to(const kube::Object& parent, const kube::Object& listener) {
  const std::string_view section = kube::find_string(parent, "sectionName");
  const auto port = kube::find_int(parent, "port", 0);
  return (section.empty() || section == kube::find_string(listener, "name")) &&
         (port == 0 || port == kube::find_int(listener, "port", 0));
}

}  // namespace

std::string service_url(const std::vector<const kube::Object*>& routes, const FindGateway& find_gateway) {
  std::vector<Candidate> candidates;
  for (const kube::Object* route : routes) {
    for (const kube::Object* parent : objects_of(*route, "spec.parentRefs")) {
      const std::string_view where = kube::find_string(*parent, "namespace");
      const kube::Object* gateway =
          find_gateway({.name_space = std::string(where.empty() ? kube::namespace_of(*route) : where),
                        .name = std::string(kube::find_string(*parent, "name"))});
      for (const kube::Object* listener :
           gateway != nullptr ? objects_of(*gateway, "spec.listeners") : std::vector<const kube::Object*>()) {
        if (refers_to(*parent, *listener)) {
          add_candidates(*route, *listener, *gateway, candidates);
        }
      }
    }
  }
  const auto best = std::ranges::min_element(candidates);
  return best == candidates.end() ? std::string() : best->url;
}

}  // namespace llmd::operators
