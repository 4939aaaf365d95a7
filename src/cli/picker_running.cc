#include "cli/picker_running.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "crypto/random.h"
#include "picker/datalayer/watched_file.h"
#include "picker/plan.h"

namespace llmd::cli {
namespace {

constexpr auto kLastRequests = std::chrono::seconds(30);  // after a drain window, or without one
constexpr auto kLastSpansWait = std::chrono::seconds(2);

}  // namespace

kube::LeaseOptions RunningPicker::lease() const {
  const char* pod = std::getenv("POD_NAME");
  return {.key = {arguments.pool_namespace,
                  fmt::format("epp-{}-{}.llm-d.ai", arguments.pool_namespace, name_of_pool(arguments))},
          .identity = fmt::format("{}_{}", pod != nullptr ? pod : "llmd-picker", crypto::random_hex(8))};
}

extproc::PoolReference RunningPicker::reference(const std::string& pool) const {
  return {.group = arguments.pool_group,
          .name_space = arguments.pool_namespace,
          .name = pool,
          .selector = arguments.endpoint_selector,
          .target_ports = arguments.endpoint_ports};
}

Task<void> RunningPicker::follow(extproc::KubePool& watched, std::string name) {
  const extproc::PoolPtr pool = pools.pools()->find(name);
  watched.on_change([this, pool, name, &watched](std::vector<picker::Endpoint> endpoints, bool exists) {
    pool->picker->update(std::move(endpoints));
    const std::string protocol = watched.app_protocol();
    const bool spoken = pool->speaks(protocol);
    if (exists && !spoken && !std::exchange(warned[name], true)) {
      log::warning("the pool is not served: its engines speak what not all configured parsers do",
                   {{"pool", name}, {"appProtocol", protocol.empty() ? "http" : protocol}});
    }
    found[name] = exists && spoken;
    program.set_synced(std::ranges::all_of(found, [](const auto& each) { return each.second; }));
  });
  if (arguments.objects_file.empty()) {
    watched.on_rules(
        [pool](std::shared_ptr<const extproc::Rules> rules) { pool->set_rules(std::move(rules)); });
  }
  co_await watched.run();
}

Task<void> RunningPicker::follow_kubernetes() {
  std::map<std::string, std::unique_ptr<extproc::KubePool>> watched;
  for (const extproc::PoolPtr& pool : pools.pools()->all()) {
    found[pool->name] = false;
    watched[pool->name] = std::make_unique<extproc::KubePool>(loop, *client, reference(pool->name));
  }
  program.set_source_state([&watched] {
    if (watched.size() == 1) {
      return watched.begin()->second->state();
    }
    json::Object said;
    for (const auto& [name, pool] : watched) {
      said[name] = pool->state();
    }
    return said;
  });
  struct Silence {
    extproc::Program& program;
    ~Silence() { program.set_source_state({}); }
  } const at_the_end{program};  // nobody asks about pools that are not followed any more
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    for (const auto& [name, pool] : watched) {
      scope.spawn("inference pool", follow(*pool, name));
    }
    co_await scope.join();
  });
}

// With the feature gate haPopulateNonLeaderDatastore off, a follower knows no endpoints.
Task<void> RunningPicker::follow_while_leading() {
  const auto follow = [](RunningPicker& self) -> Task<bool> {
    co_await self.follow_kubernetes();
    co_return true;
  };
  while (true) {
    co_await led.wait();
    co_await async::unless(lost.wait(), follow(*this));
    for (const extproc::PoolPtr& pool : pools.pools()->all()) {
      pool->picker->update({});
    }
    program.set_synced(false);
  }
}

void RunningPicker::set_leading(bool leads) {
  program.set_leading(leads);
  (leads ? led : lost).set();
  (leads ? lost : led).reset();
}

bool RunningPicker::followers_know_endpoints() const {
  return !arguments.leader_election ||
         std::ranges::all_of(pools.pools()->all(), [](const extproc::PoolPtr& pool) {
           return pool->picker->plan().configuration.follower_datastore;
         });
}

void RunningPicker::watch_files(async::Scope& scope) {
  if (source.watched) {
    scope.spawn("endpoints file",
                picker::watch_endpoints(source.file, source.text, [this](picker::EndpointsFile file) {
                  const auto folder = std::filesystem::path(source.file).parent_path();
                  if (const auto applied = pools.apply(file, folder); !applied) {
                    log::warning("pools stay as they were", {{"problem", applied.error().text()}});
                  }
                }));
  }
  if (!arguments.objects_file.empty()) {
    scope.spawn("objects file",
                picker::watch_file(arguments.objects_file, source.objects_text,
                                   [this](const std::string& text) -> Result<void> {
                                     LLMD_TRY(auto objects,
                                              extproc::parse_rule_objects(text, arguments.objects_file));
                                     pools.set_rules(std::move(objects));
                                     return {};
                                   }));
  }
}

Task<void> RunningPicker::run() {
  const auto held = lease();
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("picker", program.run());
    scope.spawn("spans", tracing.run());
    scope.spawn("scrapers", pools.scrape());
    watch_files(scope);
    if (client != nullptr) {
      scope.spawn("inference pools",
                  followers_know_endpoints() ? follow_kubernetes() : follow_while_leading());
    }
    if (arguments.cert_reload && certificates.grpc && !arguments.cert_path.empty()) {
      scope.spawn("certificate", extproc::watch_certificate(certificates.grpc, arguments.cert_path));
    }
    if (certificates.metrics) {
      scope.spawn("certificate of metrics",
                  extproc::watch_certificate(certificates.metrics, arguments.metrics_cert_dir));
    }
    async::Scope election(loop);
    if (client != nullptr && arguments.leader_election) {
      election.spawn("leader election",
                     kube::lead(*client, held, [this](bool leads) { set_leading(leads); }));
    }
    co_await signals.wait();
    co_await election.close();
    if (client != nullptr && arguments.leader_election) {
      program.set_leading(false);  // before another one is
      co_await kube::give_up_lead(*client, held);
    }
    const Duration notice = client != nullptr ? arguments.drain_timeout : Duration::zero();
    co_await program.drain(notice, async::Deadline::after(notice + kLastRequests));
    pools.shut_down();
  });
  co_await tracing.finish(async::Deadline::after(kLastSpansWait));
}

}  // namespace llmd::cli
