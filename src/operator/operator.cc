#include "operator/operator.h"

#include <boost/json.hpp>

#include <set>

#include "async/scope.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strings.h"
#include "http/client.h"
#include "kube/controller.h"
#include "llmisvc/child_name.h"
#include "llmisvc/compile.h"
#include "llmisvc/labels.h"
#include "operator/applier.h"
#include "operator/certificates.h"
#include "operator/resources.h"
#include "operator/status.h"
#include "operator/world.h"

namespace llmd::operators {
namespace {

constexpr Duration kAnswerRetry = std::chrono::milliseconds(300);
constexpr Duration kAnswerWait = std::chrono::seconds(5);

llmisvc::Facts base_facts(const OperatorOptions& options) {
  if (options.platform == llmisvc::Platform::Cluster) {
    return {};
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

struct Operator::State {
  State(async::EventLoop& loop_, kube::Client& client_, OperatorOptions options_)
      : loop(loop_),
        client(client_),
        options(std::move(options_)),
        world(loop, client),
        applier(client, world, options.platform),
        certificates(client),
        pool(loop),
        controller(loop, "llmisvc", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
    world.on_change([this](const kube::ObjectKey& key) { controller.enqueue(key); });
  }

  Task<void> run();
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  Task<void> add_config_map(const kube::Object& service, llmisvc::Facts& facts);
  Task<Result<void>> remove_cluster_objects(const kube::ObjectKey& key);
  StatusFacts status_facts(const kube::Object& service, const llmisvc::Compiled& compiled) const;
  void add_network(StatusFacts& facts) const;
  std::string url_of(const llmisvc::Service& service) const;
  Task<std::optional<Error>> answer_of(StatusFacts facts);
  Task<Result<void>> write_status(const kube::Object& service, kube::Object status);

  async::EventLoop& loop;
  kube::Client& client;
  const OperatorOptions options;
  World world;
  Applier applier;
  Certificates certificates;
  http::ClientPool pool;
  std::set<std::string> answered;  // uid of services that have answered since their pods became ready
  kube::Controller controller;
};

Task<void> Operator::State::run() {
  const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
    for (kube::Informer* informer : world.informers()) {
      scope.spawn("informer", informer->run());
    }
    co_await world.synced();
    co_await controller.run();
  };
  co_await async::with_scope(loop.executor(), body);
}

// One pass: facts, compile, apply the difference, status.
Task<Result<kube::Outcome>> Operator::State::reconcile(kube::ObjectKey key) {
  const kube::Object* found = world.service(key);
  if (found == nullptr || kube::is_being_deleted(*found)) {
    // Its children have it as their owner and go with it, except the one object that is not in a namespace.
    const Result<void> removed = co_await remove_cluster_objects(key);
    if (!removed) {
      co_return std::unexpected(removed.error());
    }
    co_return kube::Outcome{};
  }
  kube::Object service = *found;
  service["apiVersion"] = kube::kLlmServices.api_version();
  service["kind"] = boost::json::string_view(kube::kLlmServices.kind.data(), kube::kLlmServices.kind.size());
  llmisvc::Facts facts = base_facts(options);
  world.add_configs(facts);
  co_await add_config_map(service, facts);
  const llmisvc::Compiled compiled = llmisvc::compile(service, facts);

  Result<void> applied;
  if (!llmisvc::has_errors(compiled.findings)) {
    if (options.platform == llmisvc::Platform::Cluster && !compiled.service.stopped) {
      applied = co_await certificates.ensure(compiled.service);
    }
    const Result<void> objects = co_await applier.apply(service, compiled.objects);
    applied = applied ? objects : applied;
  }
  auto no_answer = co_await answer_of(status_facts(service, compiled));
  // Only now: the copies of live objects may have changed while we waited.
  StatusFacts status = status_facts(service, compiled);
  status.no_answer = std::move(no_answer);
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
  co_return status.no_answer ? kube::Outcome{.again_after = kAnswerRetry} : kube::Outcome{};
}

// The scheduler's configuration may stand in a ConfigMap; those are read when they are needed, not watched.
Task<void> Operator::State::add_config_map(const kube::Object& service, llmisvc::Facts& facts) {
  const std::string name(kube::find_string(service, "spec.router.scheduler.config.ref.name"));
  if (name.empty()) {
    co_return;
  }
  for (const std::string& where : {std::string(kube::namespace_of(service)), facts.system_namespace}) {
    kube::ObjectKey key{.name_space = where, .name = name};
    const auto found = co_await client.get(kube::kConfigMaps, std::move(key));
    const kube::Object* data = found ? kube::find_object(*found, "data") : nullptr;
    if (data == nullptr) {
      continue;
    }
    auto& entries = facts.config_maps[where + "/" + name];
    for (const auto& member : *data) {
      entries[std::string(member.key())] = member.value().is_string()
                                               ? std::string(std::string_view(member.value().get_string()))
                                               : std::string();
    }
  }
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

StatusFacts Operator::State::status_facts(const kube::Object& service,
                                          const llmisvc::Compiled& compiled) const {
  StatusFacts facts{.object = &service, .compiled = &compiled, .trusts_silent_gateway = false};
  facts.trusts_silent_gateway = options.trusts_silent_gateway && options.platform == llmisvc::Platform::Local;
  facts.picks_in_gateway = options.platform == llmisvc::Platform::Local;
  if (llmisvc::has_errors(compiled.findings)) {
    return facts;
  }
  const kube::ObjectKey key = kube::key_of(service);
  const auto deployment = [&](std::string_view suffix) {
    return world.find(kube::kDeployments, {key.name_space, llmisvc::child_name(key.name, suffix)});
  };
  facts.main = deployment("-kserve");
  facts.main_pods = world.pods_of(key, llmisvc::kWorkload);
  if (compiled.service.prefill) {
    facts.prefill = deployment("-kserve-prefill");
    facts.prefill_pods = world.pods_of(key, llmisvc::kPrefill);
  }
  if (compiled.service.has_managed_scheduler()) {
    facts.scheduler = deployment("-kserve-router-scheduler");
  }
  add_network(facts);
  return facts;
}

void Operator::State::add_network(StatusFacts& facts) const {
  const llmisvc::Service& service = facts.compiled->service;
  if (!service.router || service.stopped) {
    return;
  }
  for (const llmisvc::Reference& reference : service.router->gateways) {
    const kube::ObjectKey key{reference.name_space.empty() ? service.name_space : reference.name_space,
                              reference.name};
    const kube::Object* gateway = world.find(kube::kGateways, key);
    gateway != nullptr ? facts.gateways.push_back(gateway)
                       : facts.missing_gateways.push_back(key.to_string());
  }
  std::vector<std::string> names = service.router->routes;
  if (names.empty() && service.router->route_spec) {
    names.push_back(llmisvc::child_name(service.name, "-kserve-route"));
  }
  for (const std::string& name : names) {
    const kube::Object* route = world.find(kube::kHttpRoutes, {service.name_space, name});
    if (route != nullptr) {
      facts.routes.push_back(route);
    } else if (!service.router->routes.empty()) {
      facts.missing_routes.push_back(service.name_space + "/" + name);
    }
  }
  facts.url = service.router->has_route ? url_of(service) : std::string();
}

std::string Operator::State::url_of(const llmisvc::Service& service) const {
  if (options.gateway_url.empty()) {
    return {};
  }
  return fmt::format("{}/{}/{}", options.gateway_url, service.name_space, service.name);
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
