#include "gateway/listeners.h"

#include <algorithm>
#include <optional>

#include "crypto/encode.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"
#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_object;
using kube::find_string;

constexpr std::string_view kRouteKinds[] = {kube::kHttpRoutes.kind, kGrpcRoutes.kind};

// The hosts both accept: nullopt when there are none.
std::optional<std::string> intersection(std::string_view listener, std::string_view route) {
  const auto covers = [](std::string_view wildcard, std::string_view host) {
    return wildcard.starts_with("*.") && host.size() >= wildcard.size() && host.ends_with(wildcard.substr(1));
  };
  if (listener.empty() || listener == route || covers(listener, route)) {
    return std::string(route);
  }
  if (route.empty() || covers(route, listener)) {
    return std::string(listener);
  }
  return std::nullopt;
}

// Kinds that the listener takes, and whether it asks for others, too.
std::pair<std::vector<std::string_view>, bool> kinds_of(const kube::Object& listener) {
  const auto written = objects_in(listener, "allowedRoutes.kinds");
  if (written.empty()) {
    return {{std::begin(kRouteKinds), std::end(kRouteKinds)}, false};
  }
  std::vector<std::string_view> kinds;
  for (const kube::Object* each : written) {
    const auto known = std::ranges::find(kRouteKinds, find_string(*each, "kind"));
    if (known != std::end(kRouteKinds) && string_or(*each, "group", kGatewayGroup) == kGatewayGroup) {
      kinds.push_back(*known);
    }
  }
  return {kinds, kinds.size() < written.size()};
}

void set(std::vector<Condition>& conditions, Condition condition) {
  const auto found = std::ranges::find(conditions, condition.type, &Condition::type);
  (found == conditions.end() ? conditions.emplace_back() : *found) = std::move(condition);
}

}  // namespace

Listeners::Listeners(const RouteObjects& objects, const Lookup& lookup, const BuildOptions& options)
    : lookup_(lookup), options_(options) {
  for (const kube::Object* gateway : objects.gateways) {
    const std::string_view name = find_string(*gateway, "spec.gatewayClassName");
    const auto gateway_class = std::ranges::find_if(
        objects.gateway_classes, [name](const kube::Object* each) { return kube::name_of(*each) == name; });
    const bool ours = gateway_class == objects.gateway_classes.end()
                          ? options.alone
                          : find_string(**gateway_class, "spec.controllerName") == kControllerName;
    if (ours && !kube::is_being_deleted(*gateway)) {
      add(*gateway);
    }
  }
}

void Listeners::add(const kube::Object& gateway) {
  GatewayState state{.object = &gateway, .listeners = {}, .conditions = {}};
  for (const kube::Object* listener : objects_in(gateway, "spec.listeners")) {
    state.listeners.push_back(evaluate(gateway, *listener));
  }
  mark_conflicts(state.listeners);
  std::ranges::for_each(state.listeners, conclude);
  const auto usable = std::ranges::count_if(state.listeners, &ListenerState::usable);
  const bool all = usable == std::ssize(state.listeners);
  const bool parameters = find_object(gateway, "spec.infrastructure.parametersRef") != nullptr;
  if (parameters) {
    state.conditions.push_back({"Accepted", false, "InvalidParameters",
                                "spec.infrastructure.parametersRef: there are no parameters"});
  } else {
    state.conditions.push_back({"Accepted", usable > 0, all && usable > 0 ? "Accepted" : "ListenersNotValid",
                                all ? "" : "some listeners cannot be served; see their conditions"});
  }
  if (usable == 0 || parameters) {
    state.conditions.push_back({"Programmed", false, "Invalid", "no listener can be served"});
  } else {
    const bool known = !options_.address.empty();
    state.conditions.push_back({"Programmed", known, known ? "Programmed" : "AddressNotAssigned",
                                known ? "" : "the address is not known yet"});
  }
  gateways_.push_back(std::move(state));
}

ListenerState Listeners::evaluate(const kube::Object& gateway, const kube::Object& listener) const {
  ListenerState state;
  state.object = &listener;
  state.name = find_string(listener, "name");
  state.hostname = find_string(listener, "hostname");
  state.protocol = find_string(listener, "protocol");
  state.port = static_cast<std::uint16_t>(find_int(listener, "port", 0));
  state.conditions = {{"Accepted", true, "Accepted", {}},
                      {"Conflicted", false, "NoConflicts", {}},
                      {"ResolvedRefs", true, "ResolvedRefs", {}}};
  const bool terminates = string_or(listener, "tls.mode", "Terminate") == "Terminate";
  if (state.protocol != "HTTP" && (state.protocol != "HTTPS" || !terminates)) {
    set(state.conditions,
        {"Accepted", false, "UnsupportedProtocol",
         fmt::format("protocol {}: HTTP, and HTTPS with tls.mode Terminate, are served", state.protocol)});
    state.usable = false;
    return state;
  }
  const auto [kinds, others] = kinds_of(listener);
  state.kinds = kinds;
  if (others) {
    set(state.conditions, {"ResolvedRefs", false, "InvalidRouteKinds",
                           "allowedRoutes.kinds: HTTPRoute and GRPCRoute are served"});
    state.usable = !kinds.empty();
  }
  if (state.protocol == "HTTPS") {
    if (Condition condition = certificate_of(gateway, state); !condition.holds) {
      set(state.conditions, std::move(condition));
      state.usable = false;
    }
  }
  return state;
}

Condition Listeners::certificate_of(const kube::Object& gateway, ListenerState& state) const {
  const auto refused = [](std::string_view reason, std::string message) {
    return Condition{"ResolvedRefs", false, reason, std::move(message)};
  };
  const auto references = objects_in(*state.object, "tls.certificateRefs");
  if (references.empty()) {
    return refused("InvalidCertificateRef", "tls.certificateRefs: a certificate is needed");
  }
  const kube::Object& reference = *references.front();
  const std::string_view own = kube::namespace_of(gateway);
  const std::string_view name_space = string_or(reference, "namespace", own);
  const std::string_view name = find_string(reference, "name");
  if (string_or(reference, "kind", "Secret") != "Secret" || !find_string(reference, "group").empty()) {
    return refused("InvalidCertificateRef", "tls.certificateRefs: certificates come from Secrets");
  }
  if (!lookup_.permits({kGatewayGroup, kube::kGateways.kind, own}, {"", "Secret", name_space, name})) {
    return refused("RefNotPermitted",
                   fmt::format("Secret {}/{}: no ReferenceGrant permits it", name_space, name));
  }
  const kube::Object* secret = lookup_.secret(name_space, name);
  if (secret == nullptr) {
    return refused("InvalidCertificateRef", fmt::format("Secret {}/{} does not exist", name_space, name));
  }
  // Names with a dot are no paths here.
  const auto text_of = [secret](std::string_view key) -> std::string {
    const kube::Object* data = find_object(*secret, "data");
    const auto* value = data == nullptr ? nullptr : data->if_contains(key);
    return value != nullptr && value->is_string()
               ? crypto::from_base64(std::string_view(value->get_string())).value_or("")
               : "";
  };
  state.certificate = {state.hostname, text_of("tls.crt"), text_of("tls.key")};
  const auto checked = net::tls_server_from_pem(state.certificate.certificate_pem, state.certificate.key_pem);
  if (!checked) {
    return refused("InvalidCertificateRef",
                   fmt::format("Secret {}/{}: {}", name_space, name, checked.error().text()));
  }
  return {"ResolvedRefs", true, "ResolvedRefs", {}};
}

// Listeners are told apart by port, protocol and hostname.
void Listeners::mark_conflicts(std::vector<ListenerState>& listeners) {
  for (ListenerState& listener : listeners) {
    for (const ListenerState& other : listeners) {
      if (&other == &listener || other.port != listener.port) {
        continue;
      }
      const bool protocols = other.protocol != listener.protocol;
      if (protocols || other.hostname == listener.hostname) {
        set(listener.conditions,
            {"Conflicted", true, protocols ? "ProtocolConflict" : "HostnameConflict",
             fmt::format("listener {} uses the same port{}", other.name, protocols ? "" : " and hostname")});
        listener.usable = false;
      }
    }
  }
}

void Listeners::conclude(ListenerState& listener) {
  set(listener.conditions, {"Programmed", listener.usable, listener.usable ? "Programmed" : "Invalid", {}});
}

std::vector<ParentState> Listeners::parents_of(const kube::Object& route) {
  std::vector<ParentState> parents;
  for (const kube::Object* reference : objects_in(route, "spec.parentRefs")) {
    if (string_or(*reference, "kind", "Gateway") != "Gateway" ||
        string_or(*reference, "group", kGatewayGroup) != kGatewayGroup) {
      continue;
    }
    const std::string_view name_space = string_or(*reference, "namespace", kube::namespace_of(route));
    const std::string_view name = find_string(*reference, "name");
    const auto gateway = std::ranges::find_if(gateways_, [&](const GatewayState& each) {
      return kube::name_of(*each.object) == name && kube::namespace_of(*each.object) == name_space;
    });
    if (gateway == gateways_.end()) {
      continue;  // somebody else's, or not there yet
    }
    ParentState parent;
    parent.reference = reference;
    parent.gateway = &*gateway;
    attach(route, *gateway, parent);
    parents.push_back(std::move(parent));
  }
  return parents;
}

void Listeners::attach(const kube::Object& route, GatewayState& gateway, ParentState& parent) {
  const std::string_view section = find_string(*parent.reference, "sectionName");
  const std::int64_t port = find_int(*parent.reference, "port", 0);
  auto hostnames = strings_in(route, "spec.hostnames");
  if (hostnames.empty()) {
    hostnames.emplace_back();
  }
  bool named = false;
  bool allowed = false;
  for (ListenerState& listener : gateway.listeners) {
    if ((!section.empty() && section != listener.name) || (port != 0 && port != listener.port)) {
      continue;
    }
    named = true;
    if (!allows(*gateway.object, listener, route)) {
      continue;
    }
    allowed = true;
    ParentState::Attachment attachment{listener.port, listener.hostname, {}};
    for (const std::string& hostname : hostnames) {
      if (auto common = intersection(listener.hostname, hostname)) {
        attachment.hostnames.push_back(std::move(*common));
      }
    }
    if (!attachment.hostnames.empty()) {
      ++listener.attached_routes;
      parent.attachments.push_back(std::move(attachment));
      if (!listener.usable) {
        parent.attachments.back().hostnames.clear();  // attached, but nothing arrives there
      }
    }
  }
  const auto refuse = [&parent](std::string_view reason, std::string message) {
    parent.accepted = {"Accepted", false, reason, std::move(message)};
  };
  if (!named) {
    refuse("NoMatchingParent", "the Gateway has no listener with this name and port");
  } else if (!allowed) {
    refuse("NotAllowedByListeners", "no listener takes routes of this kind from this namespace");
  } else if (parent.attachments.empty()) {
    refuse("NoMatchingListenerHostname", "no listener serves the route's hostnames");
  }
}

bool Listeners::allows(const kube::Object& gateway, const ListenerState& listener,
                       const kube::Object& route) const {
  if (std::ranges::find(listener.kinds, kube::kind_of(route)) == listener.kinds.end()) {
    return false;
  }
  const std::string_view from = string_or(*listener.object, "allowedRoutes.namespaces.from", "Same");
  if (from == "All") {
    return true;
  }
  if (from == "Same") {
    return kube::namespace_of(route) == kube::namespace_of(gateway);
  }
  const kube::Object* selector = find_object(*listener.object, "allowedRoutes.namespaces.selector");
  const kube::Object* name_space = lookup_.name_space(kube::namespace_of(route));
  return from == "Selector" && selector != nullptr && name_space != nullptr &&
         kube::selector_matches(*selector, *name_space);
}

std::vector<ListenerDoor> Listeners::doors() const {
  std::vector<ListenerDoor> doors;
  for (const GatewayState& gateway : gateways_) {
    for (const ListenerState& listener : gateway.listeners) {
      if (!listener.usable) {
        continue;
      }
      const bool tls = listener.protocol == "HTTPS";
      auto door = std::ranges::find(doors, listener.port, &ListenerDoor::port);
      if (door == doors.end()) {
        door = doors.insert(door, ListenerDoor{.port = listener.port, .tls = tls});
      }
      if (tls && door->tls) {
        door->certificates.push_back(listener.certificate);
      }
    }
  }
  return doors;
}

}  // namespace llmd::gateway
