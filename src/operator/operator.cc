#include "operator/operator.h"

#include <boost/json.hpp>

#include <set>

#include "async/scope.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "llmisvc/child_name.h"
#include "llmisvc/presets.h"
#include "operator/cluster_facts.h"
#include "operator/operator_state.h"
#include "operator/resources.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kFinalizer = "serving.kserve.io/llmisvc-finalizer";
constexpr Duration kAnswerRetry = std::chrono::milliseconds(300);
constexpr Duration kAnswerWait = std::chrono::seconds(5);

llmisvc::Facts base_facts(const OperatorOptions& options) {
  if (options.platform == llmisvc::Platform::Cluster) {
    return {.config_prefix = options.config_prefix, .pins_presets = options.pins_presets};
  }
  const std::size_t colon = options.gateway_url.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_integer(std::string_view(options.gateway_url).substr(colon + 1));
  return llmisvc::local_facts(static_cast<int>(port.value_or(8080)));
}

// The list of models, from the model server itself and through the gateway.
Task<Result<void>> ask(http::ClientPool& pool, net::Address address, std::string target) {
  http::ClientRequest request;
  request.address = std::move(address);
  request.head.target = std::move(target);
  request.timeouts.total = async::Deadline::after(kAnswerWait);
  const auto answer = co_await http::fetch(pool, std::move(request));
  if (!answer) {
    co_return std::unexpected(answer.error());
  }
  if (answer->status != 200) {
    co_return unavailable("HTTP status {}", answer->status);
  }
  co_return Result<void>();
}

}  // namespace

Task<void> Operator::State::run() {
  const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
    for (kube::Informer* informer : world.informers()) {
      scope.spawn("informer", informer->run());
    }
    co_await world.synced(kinds);
    co_await controller.run();
  };
  co_await async::with_scope(loop.executor(), body);
}

// One pass: facts, compile, apply the difference, status.
Task<Result<kube::Outcome>> Operator::State::reconcile(kube::ObjectKey key) {
  const kube::Object* found = world.service(key);
  if (found == nullptr || kube::is_being_deleted(*found)) {
    neighbours.forget(key);
    const std::optional<kube::Object> leaving = found != nullptr ? std::optional(*found) : std::nullopt;
    LLMD_CO_TRY_VOID(co_await leave(key, leaving ? &*leaving : nullptr));
    co_return kube::Outcome{};
  }
  kube::Object service = *found;
  if (options.platform == llmisvc::Platform::Cluster) {
    LLMD_CO_TRY_VOID(co_await set_finalizer(service, true));
  }
  service["apiVersion"] = kube::kLlmServices.api_version();
  service["kind"] = boost::json::string_view(kube::kLlmServices.kind.data(), kube::kLlmServices.kind.size());
  LLMD_CO_TRY(llmisvc::Facts facts, co_await facts_of(service));
  llmisvc::Compiled compiled = llmisvc::compile(service, facts);
  std::vector<std::string> divergent;
  if (!llmisvc::has_errors(compiled.findings)) {
    neighbours.remember(key, compiled.service);
    divergent = neighbours.take_out_divergent(compiled.service, facts);
    if (!divergent.empty()) {
      compiled = llmisvc::compile(service, facts);
    }
  }
  Obstacles obstacles = co_await obstacles_of(service, compiled, facts, std::move(divergent));
  const Result<void> applied = co_await bring_about(service, compiled, obstacles);
  auto no_answer = co_await answer_of(status_facts(service, compiled));
  // Only now: the copies of live objects may have changed while we waited.
  StatusFacts status = status_facts(service, compiled);
  status.no_answer = std::move(no_answer);
  status.obstacles = std::move(obstacles);
  status.annotations = llmisvc::with_pins(service, facts);
  if (!applied) {
    status.apply_error = applied.error();
  }
  kube::Object computed = status_of(status, to_rfc3339(system_clock().wall_now()));
  const auto written = co_await write_status(service, std::move(computed));
  if (!applied) {
    co_return std::unexpected(applied.error());
  }
  if (!written) {
    co_return std::unexpected(written.error());
  }
  const bool waits_for_a_kind = !status.obstacles.absent_kinds.empty() || status.obstacles.monitors_absent;
  co_return status.no_answer ? kube::Outcome{.again_after = kAnswerRetry}
  : waits_for_a_kind         ? kube::Outcome{.again_after = ServedKinds::kAbsentFor}
                             : kube::Outcome{};
}

// Its children have it as their owner and go with it, except the one object that is not in a namespace.
Task<Result<void>> Operator::State::leave(const kube::ObjectKey& key, const kube::Object* leaving) {
  LLMD_CO_TRY_VOID(co_await remove_cluster_objects(key));
  if (leaving != nullptr) {
    LLMD_CO_TRY_VOID(co_await set_finalizer(*leaving, false));
  }
  co_return Result<void>();
}

Task<Result<llmisvc::Facts>> Operator::State::facts_of(const kube::Object& service) {
  llmisvc::Facts facts = base_facts(options);
  if (options.platform == llmisvc::Platform::Cluster) {
    LLMD_CO_TRY_VOID(co_await add_settings(client, facts));
  }
  world.add_configs(facts);
  world.add_gateways(facts);
  world.add_group_members(service, facts);
  LLMD_CO_TRY_VOID(co_await add_config_map(client, service, facts));
  if (options.platform == llmisvc::Platform::Cluster) {
    facts.has_inference_pool_v1 = co_await kinds.serves(kPools);
    facts.has_inference_pool_v1alpha2 = co_await kinds.serves(kOldPools);
    facts.has_inference_model = co_await kinds.serves(kModels);
    facts.has_inference_objective = co_await kinds.serves(kObjectives);
    facts.has_monitors = co_await kinds.serves(kPodMonitors) && co_await kinds.serves(kServiceMonitors);
    LLMD_CO_TRY_VOID(co_await add_accounts(client, service, facts));
  }
  co_return facts;
}

Task<Result<void>> Operator::State::bring_about(const kube::Object& service,
                                                const llmisvc::Compiled& compiled,
                                                const Obstacles& obstacles) {
  if (llmisvc::has_errors(compiled.findings)) {
    // What is stopped goes away, also when nobody can say any more what it was made from.
    const auto nothing = [](const kube::Object&) { return false; };
    co_return is_stopped(service) ? co_await applier.apply(service, {}, nothing) : Result<void>();
  }
  Result<void> certified;
  if (options.platform == llmisvc::Platform::Cluster && !compiled.service.stopped) {
    certified = co_await certificates.ensure(compiled.service);
  }
  const auto is_withheld = [&](const kube::Object& object) {
    const std::string kind(kube::kind_of(object));
    const bool is_prefill = kube::name_of(object).ends_with("-prefill");
    const bool is_fixed = kind == "LeaderWorkerSet" &&
                          std::ranges::any_of(obstacles.immutable, [&](const llmisvc::Finding& finding) {
                            return finding.path.starts_with("spec.prefill") == is_prefill;
                          });
    return is_fixed || obstacles.absent_kinds.contains(kind);
  };
  const Result<void> objects = co_await applier.apply(service, compiled.objects, is_withheld);
  co_return certified ? objects : certified;
}

// Without it a service could vanish while the operator is away, and leave behind what is not in its
// namespace.
Task<Result<void>> Operator::State::set_finalizer(const kube::Object& service, bool wanted) {
  boost::json::array finalizers;
  bool present = false;
  if (const auto* list = kube::find_array(service, "metadata.finalizers")) {
    for (const auto& one : *list) {
      const bool is_ours = one.is_string() && std::string_view(one.get_string()) == kFinalizer;
      present |= is_ours;
      if (!is_ours || wanted) {
        finalizers.push_back(one);
      }
    }
  }
  if (present == wanted) {
    co_return Result<void>();
  }
  if (wanted) {
    finalizers.emplace_back(boost::json::string_view(kFinalizer.data(), kFinalizer.size()));
  }
  // With the version: others may be adding finalizers of their own.
  kube::Object patch{{"metadata",
                      {{"finalizers", std::move(finalizers)},
                       {"resourceVersion", kube::find_string(service, "metadata.resourceVersion")}}}};
  kube::ObjectKey key = kube::key_of(service);
  const auto patched = co_await client.merge_patch(kube::kLlmServices, std::move(key), std::move(patch));
  if (!patched && patched.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(patched.error());
  }
  co_return Result<void>();
}

Task<Result<void>> Operator::State::remove_cluster_objects(const kube::ObjectKey& key) {
  if (options.platform != llmisvc::Platform::Cluster) {
    co_return Result<void>();
  }
  kube::ObjectKey binding{.name_space = {},
                          .name = llmisvc::child_name(key.name_space, "-" + key.name + "-epp-auth-rb")};
  const auto removed = co_await client.remove(kClusterRoleBindings, std::move(binding));
  if (!removed && removed.error().kind != ErrorKind::NotFound) {
    co_return removed;
  }
  co_return Result<void>();
}

// Ready means that a request was answered: once all parts are there, one goes through the gateway. Asked
// again only after the service was not ready in between.
Task<std::optional<Error>> Operator::State::answer_of(StatusFacts facts) {
  const std::string uid(kube::uid_of(*facts.object));
  const bool has_replicas = facts.main != nullptr && kube::find_int(*facts.main, "spec.replicas", 1) > 0;
  const auto conditions = conditions_of(facts);
  const auto ready = std::ranges::find(conditions, "Ready", &Condition::type);
  if (facts.url.empty() || !has_replicas || ready == conditions.end() || ready->truth != Truth::True) {
    answered.erase(uid);
    co_return std::nullopt;
  }
  if (answered.contains(uid)) {
    co_return std::nullopt;
  }
  Result<void> answer;
  if (options.answers) {
    answer = co_await options.answers(facts.url);
  } else if (options.platform == llmisvc::Platform::Local) {
    const std::string_view rest = std::string_view(facts.url).substr(facts.url.find("://") + 3);
    const std::size_t slash = rest.find('/');
    auto address = net::parse_address(rest.substr(0, slash));
    if (!address) {
      co_return std::move(address).error();
    }
    std::string target = std::string(rest.substr(slash)) + "/v1/models";
    answer = co_await ask(pool, std::move(*address), std::move(target));
  }
  if (!answer) {
    co_return answer.error();
  }
  answered.insert(uid);
  co_return std::nullopt;
}

Task<Result<void>> Operator::State::write_status(const kube::Object& service, kube::Object status) {
  const auto* before = service.if_contains("status");
  if (before != nullptr && before->is_object() && before->get_object() == status) {
    co_return Result<void>();
  }
  kube::Object object = service;
  object["status"] = std::move(status);
  const auto written = co_await client.update_status(kube::kLlmServices, std::move(object));
  if (!written && written.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(written.error());
  }
  co_return Result<void>();
}

Operator::Operator(async::EventLoop& loop, kube::Client& client, OperatorOptions options)
    : state_(std::make_unique<State>(loop, client, std::move(options))) {}
Operator::~Operator() = default;

Task<void> Operator::run() {
  return state_->run();
}

}  // namespace llmd::operators
