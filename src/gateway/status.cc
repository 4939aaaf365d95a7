#include "gateway/status.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

#include "gateway/fields.h"
#include "gateway/kinds.h"

namespace llmd::gateway {
namespace {

using boost::json::array;
using kube::find_array;
using kube::find_object;
using kube::find_string;

std::optional<StatusChange> change_if_new(const kube::Resource& resource, const kube::Object& object,
                                          kube::Object status) {
  const kube::Object* before = find_object(object, "status");
  if (before != nullptr ? *before == status : status.empty()) {
    return std::nullopt;
  }
  StatusChange change{resource, object};
  change.object["status"] = std::move(status);
  return change;
}

kube::Object status_before(const kube::Object& object) {
  const kube::Object* status = find_object(object, "status");
  return status == nullptr ? kube::Object() : *status;
}

array after(const kube::Object* holder, const std::vector<Condition>& conditions, const kube::Object& object,
            const BuildOptions& options) {
  return conditions_after(holder == nullptr ? nullptr : find_array(*holder, "conditions"), conditions,
                          kube::generation_of(object), options.now);
}

kube::Object listener_status(const ListenerState& listener, const kube::Object& gateway,
                             const BuildOptions& options) {
  const auto before = objects_in(gateway, "status.listeners");
  const auto same_name = std::ranges::find_if(
      before, [&](const kube::Object* each) { return find_string(*each, "name") == listener.name; });
  array kinds;
  for (const std::string_view kind : listener.kinds) {
    kinds.push_back(kube::Object{{"group", kGatewayGroup}, {"kind", kind}});
  }
  return {{"name", listener.name},
          {"supportedKinds", std::move(kinds)},
          {"attachedRoutes", listener.attached_routes},
          {"conditions",
           after(same_name == before.end() ? nullptr : *same_name, listener.conditions, gateway, options)}};
}

bool is_ours(const kube::Object& parent) {
  return find_string(parent, "controllerName") == kControllerName;
}

// Where a kind of object lists whom its conditions are for.
struct Entries {
  const char* list;
  const char* path;
  const char* reference;
};
constexpr Entries kParents{"parents", "status.parents", "parentRef"};
constexpr Entries kAncestors{"ancestors", "status.ancestors", "ancestorRef"};

// The entries of other controllers as they are, ours made by `make` for each reference.
template <typename Make>
array entries_after(const kube::Object& object, const Entries& entries,
                    const std::vector<kube::Object>& references, Make make) {
  array result;
  const auto before = objects_in(object, entries.path);
  for (const kube::Object* entry : before) {
    if (!is_ours(*entry)) {
      result.push_back(*entry);
    }
  }
  for (std::size_t i = 0; i < references.size(); ++i) {
    const auto entry = std::ranges::find_if(before, [&](const kube::Object* each) {
      const kube::Object* written = find_object(*each, entries.reference);
      return is_ours(*each) && written != nullptr && *written == references[i];
    });
    result.push_back(kube::Object{{entries.reference, references[i]},
                                  {"controllerName", kControllerName},
                                  {"conditions", make(i, entry == before.end() ? nullptr : *entry)}});
  }
  return result;
}

std::vector<kube::Object> references_to(const std::vector<const kube::Object*>& gateways) {
  std::vector<kube::Object> references;
  for (const kube::Object* gateway : gateways) {
    references.push_back({{"group", kGatewayGroup},
                          {"kind", kube::kGateways.kind},
                          {"name", kube::name_of(*gateway)},
                          {"namespace", kube::namespace_of(*gateway)}});
  }
  return references;
}

}  // namespace

std::optional<StatusChange> gateway_status(const GatewayState& gateway, const BuildOptions& options) {
  const kube::Object& object = *gateway.object;
  kube::Object status = status_before(object);
  array addresses;
  if (!options.address.empty()) {
    const bool number = options.address.find_first_not_of("0123456789.") == std::string::npos ||
                        options.address.find(':') != std::string::npos;
    addresses.push_back(
        kube::Object{{"type", number ? "IPAddress" : "Hostname"}, {"value", options.address}});
  }
  array listeners;
  for (const ListenerState& listener : gateway.listeners) {
    listeners.push_back(listener_status(listener, object, options));
  }
  status["addresses"] = std::move(addresses);
  status["conditions"] = after(find_object(object, "status"), gateway.conditions, object, options);
  status["listeners"] = std::move(listeners);
  return change_if_new(kube::kGateways, object, std::move(status));
}

std::optional<StatusChange> class_status(const kube::Object& gateway_class, const BuildOptions& options) {
  kube::Object status = status_before(gateway_class);
  Condition accepted{"Accepted", true, "Accepted", "served by llmd gateway"};
  if (find_object(gateway_class, "spec.parametersRef") != nullptr) {
    accepted = {"Accepted", false, "InvalidParameters", "spec.parametersRef: there are no parameters"};
  }
  status["conditions"] = after(find_object(gateway_class, "status"), {accepted}, gateway_class, options);
  return change_if_new(kube::kGatewayClasses, gateway_class, std::move(status));
}

std::optional<StatusChange> route_status(const kube::Object& route, const std::vector<ParentState>& parents,
                                         const RouteFindings& findings, const BuildOptions& options) {
  std::vector<kube::Object> references;
  for (const ParentState& parent : parents) {
    references.push_back(*parent.reference);
  }
  const auto make = [&](std::size_t i, const kube::Object* before) {
    Condition accepted = parents[i].accepted;
    if (accepted.holds && findings.accepted) {
      accepted = *findings.accepted;
    }
    std::vector<Condition> conditions{accepted, findings.resolved};
    if (findings.partially_invalid) {
      conditions.push_back(*findings.partially_invalid);
    }
    array made = after(before, conditions, route, options);
    if (!findings.partially_invalid) {  // is there only while it holds
      const auto over = std::remove_if(made.begin(), made.end(), [](const boost::json::value& each) {
        return each.is_object() && find_string(each.get_object(), "type") == "PartiallyInvalid";
      });
      made.erase(over, made.end());
    }
    return made;
  };
  kube::Object status = status_before(route);
  array after_all = entries_after(route, kParents, references, make);
  if (!after_all.empty() || status.contains("parents")) {
    status["parents"] = std::move(after_all);
  }
  const bool grpc = kube::kind_of(route) == kGrpcRoutes.kind;
  return change_if_new(grpc ? kGrpcRoutes : kube::kHttpRoutes, route, std::move(status));
}

std::optional<StatusChange> policy_status(const BackendTlsPolicy& policy,
                                          const std::vector<const kube::Object*>& gateways,
                                          const BuildOptions& options) {
  constexpr std::size_t kMost = 16;  // what the definition allows
  const kube::Object& object = *policy.object;
  const auto make = [&](std::size_t, const kube::Object* before) {
    return after(before, {policy.accepted, policy.resolved}, object, options);
  };
  kube::Object status = status_before(object);
  array after_all = entries_after(object, kAncestors, references_to(gateways), make);
  if (after_all.size() > kMost) {
    after_all.erase(after_all.begin() + kMost, after_all.end());
  }
  if (!after_all.empty() || status.contains("ancestors")) {
    status["ancestors"] = std::move(after_all);
  }
  return change_if_new(kBackendTlsPolicies, object, std::move(status));
}

std::optional<StatusChange> pool_status(const kube::Resource& resource, const kube::Object& pool,
                                        const std::vector<const kube::Object*>& gateways,
                                        const PoolPicker& picker, const BuildOptions& options) {
  Condition resolved{"ResolvedRefs", true, "ResolvedRefs", {}};
  if (!picker.problem.empty()) {
    resolved = {"ResolvedRefs", false, "InvalidExtensionRef", picker.problem};
  }
  const std::vector<Condition> conditions{{"Accepted", true, "Accepted",
                                           picker.external ? "requests are picked by " + picker.external->name
                                                           : "requests are picked in the gateway"},
                                          resolved};
  const auto make = [&](std::size_t, const kube::Object* before) {
    return after(before, conditions, pool, options);
  };
  kube::Object status = status_before(pool);
  array after_all = entries_after(pool, kParents, references_to(gateways), make);
  if (!after_all.empty() || status.contains("parents")) {
    status["parents"] = std::move(after_all);
  }
  return change_if_new(resource, pool, std::move(status));
}

}  // namespace llmd::gateway
