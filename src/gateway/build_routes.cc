#include "gateway/build_routes.h"

#include <algorithm>

#include "gateway/backends.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"
#include "gateway/listeners.h"
#include "gateway/matches.h"
#include "gateway/status.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_string;

// 0s is written to say "none".
std::optional<Duration> timeout_of(const kube::Object& rule, std::string_view path) {
  const auto timeout = parse_duration(find_string(rule, path));
  return timeout ? std::optional(*timeout) : std::nullopt;
}

std::optional<Duration> limit_of(std::optional<Duration> timeout) {
  return timeout > Duration::zero() ? timeout : std::nullopt;
}

bool is_grpc(const kube::Object& route) {
  return kube::kind_of(route) == kGrpcRoutes.kind;
}

class Builder {
 public:
  Builder(const RouteObjects& objects, const BuildOptions& options)
      : objects_(objects),
        options_(options),
        lookup_(objects),
        listeners_(objects, lookup_, options),
        backends_(objects, lookup_, options.external_pickers) {}

  BuiltRoutes build() {
    for (const GatewayState& gateway : listeners_.gateways()) {
      for (const ListenerState& listener : gateway.listeners) {
        if (listener.usable) {
          built_.table.add_listener(listener.port, listener.hostname);
        }
      }
    }
    for (const auto* routes : {&objects_.http_routes, &objects_.grpc_routes}) {
      for (const kube::Object* route : *routes) {
        add_route(*route);
      }
    }
    built_.table.seal();
    built_.table.backends = backends_.take();
    built_.table.doors = listeners_.doors();
    add_status();
    return std::move(built_);
  }

 private:
  struct NewRule {
    std::vector<Match> matches;
    std::shared_ptr<const Rule> rule;
  };

  void add_route(const kube::Object& route) {
    if (kube::is_being_deleted(route)) {
      return;
    }
    auto parents = listeners_.parents_of(route);
    // Without any Gateway there is one listener that takes everything.
    if (objects_.gateways.empty() && options_.alone) {
      auto hostnames = strings_in(route, "spec.hostnames");
      if (hostnames.empty()) {
        hostnames.emplace_back();
      }
      serve(make_rules(route), {0, {}, std::move(hostnames)});
      return;
    }
    if (parents.empty()) {  // not ours, or no longer: entries of earlier parents are taken back
      add(route_status(route, parents, {}, options_));
      return;
    }
    RouteFindings findings;
    const auto rules = make_rules(route, findings);
    auto used = backends_.take_pools();
    for (const kube::Object* service : backends_.take_services()) {
      for (const BackendTlsPolicy* policy : backends_.tls_policies().naming(*service)) {
        used.insert(policy->object);
      }
    }
    for (const ParentState& parent : parents) {
      for (const auto& attachment : parent.attachments) {
        serve(rules, attachment);
      }
      for (const kube::Object* each : used) {
        if (parent.accepted.holds) {
          auto& gateways = gateways_of_[each];
          if (std::ranges::find(gateways, parent.gateway->object) == gateways.end()) {
            gateways.push_back(parent.gateway->object);
          }
        }
      }
    }
    add(route_status(route, parents, findings, options_));
  }

  void serve(const std::vector<NewRule>& rules, const ParentState::Attachment& attachment) {
    for (const NewRule& rule : rules) {
      for (Match match : rule.matches) {
        match.rule = rule.rule;
        for (const std::string& hostname : attachment.hostnames) {
          built_.table.add(attachment.port, attachment.listener, hostname, match);
        }
      }
    }
  }

  std::vector<NewRule> make_rules(const kube::Object& route) {
    RouteFindings unused;
    return make_rules(route, unused);
  }

  std::vector<NewRule> make_rules(const kube::Object& route, RouteFindings& findings) {
    std::vector<NewRule> rules;
    std::size_t order = 0;
    std::size_t broken = 0;
    for (const kube::Object* object : objects_in(route, "spec.rules")) {
      auto parsed = is_grpc(route) ? parse_grpc_matches(*object) : parse_matches(*object);
      NewRule made;
      made.rule = make_rule(route, *object, findings, parsed.problem);
      for (Match& match : parsed.matches) {
        match.created = find_string(route, "metadata.creationTimestamp");
        match.order = order++;
      }
      made.matches = std::move(parsed.matches);
      broken += parsed.problem.empty() ? 0 : 1;
      if (!parsed.problem.empty()) {
        Condition condition{"PartiallyInvalid", true, "UnsupportedValue", "left out: " + parsed.problem};
        findings.partially_invalid = std::move(condition);
      }
      rules.push_back(std::move(made));
    }
    if (broken > 0 && broken == rules.size()) {
      if (!findings.accepted) {
        findings.accepted =
            Condition{"Accepted", false, "UnsupportedValue", findings.partially_invalid->message};
      }
      findings.partially_invalid.reset();
    }
    return rules;
  }

  // `problem` is set when the filters cannot be followed: the rule answers 500 then.
  std::shared_ptr<const Rule> make_rule(const kube::Object& route, const kube::Object& object,
                                        RouteFindings& findings, std::string& problem) {
    auto rule = std::make_shared<Rule>();
    rule->route = kube::key_of(route).to_string();
    rule->grpc = is_grpc(route);
    const auto parsed = parse_filters(object);
    static_cast<Filters&>(*rule) = filters_of(route, parsed, findings);
    rule->problem = parsed.problem;
    if (!parsed.problem.empty()) {
      problem = parsed.problem;
      if (parsed.reason == "IncompatibleFilters") {
        findings.accepted = Condition{"Accepted", false, parsed.reason, parsed.problem};
      }
    }
    for (const kube::Object* reference : objects_in(object, "backendRefs")) {
      rule->backends.push_back(backend_of(route, *reference, findings));
    }
    if (rule->backends.empty() && rule->problem.empty() && !rule->redirect) {
      rule->problem = "the rule has no backend";
    }
    rule->request_timeout = timeout_of(object, "timeouts.request");
    rule->attempt_timeout = limit_of(timeout_of(object, "timeouts.backendRequest"));
    return rule;
  }

  Filters filters_of(const kube::Object& route, const ParsedFilters& parsed, RouteFindings& findings) {
    Filters filters = parsed.filters;
    for (const auto& [mirror, reference] : parsed.mirrors) {
      auto resolved = resolve(route, *reference, findings);
      if (!resolved.key.empty()) {  // a copy that has nowhere to go is not missed by the client
        filters.mirrors.push_back(mirror);
        filters.mirrors.back().key = std::move(resolved.key);
      }
    }
    return filters;
  }

  BackendRef backend_of(const kube::Object& route, const kube::Object& reference, RouteFindings& findings) {
    BackendRef backend;
    backend.weight = static_cast<int>(find_int(reference, "weight", 1));
    auto resolved = resolve(route, reference, findings);
    backend.key = std::move(resolved.key);
    backend.problem = std::move(resolved.problem);
    if (kube::find_array(reference, "filters") != nullptr) {
      const auto parsed = parse_filters(reference);
      backend.filters = std::make_shared<const Filters>(filters_of(route, parsed, findings));
      if (!parsed.problem.empty()) {
        backend.key.clear();
        backend.problem = parsed.problem;
      }
    }
    return backend;
  }

  ResolvedBackend resolve(const kube::Object& route, const kube::Object& reference, RouteFindings& findings) {
    auto resolved = backends_.resolve(route, reference);
    if (!resolved.problem.empty() && findings.resolved.holds) {
      findings.resolved = {"ResolvedRefs", false, resolved.reason, resolved.problem};
    }
    return resolved;
  }

  void add_status() {
    for (const GatewayState& gateway : listeners_.gateways()) {
      add(gateway_status(gateway, options_));
    }
    for (const kube::Object* gateway_class : objects_.gateway_classes) {
      if (find_string(*gateway_class, "spec.controllerName") == kControllerName) {
        add(class_status(*gateway_class, options_));
      }
    }
    for (const kube::Object* pool : objects_.pools) {
      add(pool_status(kPools, *pool, gateways_of_[pool], backends_.picker_of(*pool), options_));
    }
    for (const kube::Object* pool : objects_.older_pools) {
      add(pool_status(kOlderPools, *pool, gateways_of_[pool], backends_.picker_of(*pool), options_));
    }
    for (const BackendTlsPolicy& policy : backends_.tls_policies().all()) {
      add(policy_status(policy, gateways_of_[policy.object], options_));
    }
  }

  void add(std::optional<StatusChange> change) {
    if (change) {
      built_.status.push_back(std::move(*change));
    }
  }

  const RouteObjects& objects_;
  const BuildOptions& options_;
  Lookup lookup_;
  Listeners listeners_;
  Backends backends_;
  // Of pools and policies: those whose routes lead there.
  std::map<const kube::Object*, std::vector<const kube::Object*>> gateways_of_;
  BuiltRoutes built_;
};

}  // namespace

BuiltRoutes build_routes(const RouteObjects& objects, const BuildOptions& options) {
  return Builder(objects, options).build();
}

}  // namespace llmd::gateway
