// `llmd picker`: the endpoint picker as a program of its own, with endpoints from a file or from Kubernetes.
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/picker_options.h"
#include "cli/version.h"
#include "crypto/random.h"
#include "extproc/kube_pool.h"
#include "extproc/program.h"
#include "extproc/served_pools.h"
#include "kube/client.h"
#include "kube/leader.h"
#include "picker/datalayer/watched_file.h"
#include "picker/picker_metrics.h"
#include "picker/plan.h"
#include "picker/replay.h"
#include "process/signals.h"

namespace llmd::cli {
namespace {

constexpr auto kLastRequests = std::chrono::seconds(30);  // after a drain window, or without one

struct ConfigText {
  std::string text;
  std::string name;
};

Result<ConfigText> config_of(const PickerArguments& arguments) {
  if (arguments.config_file.empty()) {
    return ConfigText{arguments.config_text, "--config-text"};
  }
  LLMD_TRY(std::string text, read_file(arguments.config_file, std::size_t{16} << 20));
  return ConfigText{std::move(text), arguments.config_file};
}

Result<extproc::ServedPoolsOptions> pools_of(const PickerArguments& arguments, metrics::Registry& registry) {
  LLMD_TRY(ConfigText config, config_of(arguments));
  extproc::ServedPoolsOptions options{
      .default_name = arguments.pool_names.empty() ? "default" : arguments.pool_names.front(),
      .config_text = std::move(config.text),
      .config_name = std::move(config.name),
      .picker = {.shared_metrics = std::make_shared<picker::PickerMetrics>(registry),
                 .request_metrics = true,
                 .emit_scores = arguments.emit_scores,
                 .subset_filter = !arguments.subset_filter_disabled,
                 .shed_status = arguments.compatible_shedding ? 503 : 429},
      .scrape = {.interval = arguments.refresh_interval}};
  options.picker.load.allow_experimental = arguments.experimental;
  return options;
}

// `--replay FILE`: what the configuration would have done with remembered requests.
Result<int> replay_decisions(const PickerArguments& arguments) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  LLMD_TRY(const std::string recorded, read_file(arguments.replay_file, kMostBytes));
  LLMD_TRY(const ConfigText config, config_of(arguments));
  auto report = picker::replay(recorded, config.text, config.name);
  if (!report) {
    return std::unexpected(std::move(report).error().within(arguments.replay_file));
  }
  fmt::print("{}", arguments.output == "json" ? json::write_pretty(report->to_json()) : report->to_text());
  return 0;
}

struct EndpointSource {
  std::string file;  // empty: Kubernetes
  bool watched = false;
  std::string text = {};          // of the file, as it was at the start
  std::string objects_text = {};  // of --objects-file
};

// A file named on the command line, or by the configuration's discovery plugin.
Result<EndpointSource> source_of(const PickerArguments& arguments, const ConfigText& config) {
  if (!arguments.endpoints_file.empty()) {
    return EndpointSource{arguments.endpoints_file, true};
  }
  LLMD_TRY(const auto parsed, picker::parse_configuration(config.text, config.name,
                                                          {.allow_experimental = arguments.experimental}));
  const auto discovery = std::ranges::find(parsed.plugins, parsed.discovery, &picker::PluginEntry::name);
  if (parsed.discovery.empty() || discovery == parsed.plugins.end()) {
    return EndpointSource{};
  }
  EndpointSource source;
  for (const auto& parameter : discovery->parameters) {
    if (equals_ignoring_case(parameter.key(), "path") && parameter.value().is_string()) {
      source.file = std::string_view(parameter.value().get_string());
    } else if (equals_ignoring_case(parameter.key(), "watchFile") && parameter.value().is_bool()) {
      source.watched = parameter.value().get_bool();
    }
  }
  return source;
}

Result<std::shared_ptr<net::TlsServer>> make_tls(const PickerArguments& arguments) {
  if (!arguments.secure_serving) {
    return nullptr;
  }
  return arguments.cert_path.empty() ? extproc::self_signed_tls()
                                     : extproc::tls_from_directory(arguments.cert_path);
}

Result<kube::ClientConfig> kubernetes_of(const PickerArguments& arguments) {
  if (!arguments.kubeconfig.empty()) {
    return kube::ClientConfig::from_kubeconfig(arguments.kubeconfig);
  }
  if (const char* path = std::getenv("KUBECONFIG")) {
    return kube::ClientConfig::from_kubeconfig(path);
  }
  return kube::ClientConfig::in_cluster();
}

// The program with everything it is made of.
struct Running {
  const PickerArguments& arguments;
  async::EventLoop& loop;
  extproc::ServedPools& pools;
  extproc::Program& program;
  std::shared_ptr<net::TlsServer> tls;
  EndpointSource source;
  kube::Client* client;                               // null: no Kubernetes
  process::Signals signals{loop, {SIGINT, SIGTERM}};  // from before anybody knows that we run
  std::map<std::string, bool> found = {};             // of pools in Kubernetes: whether they exist

  kube::LeaseOptions lease() const;
  extproc::PoolReference reference(const std::string& pool) const;
  Task<void> follow(extproc::KubePool& watched, std::string name);
  Task<void> follow_kubernetes();
  void watch_files(async::Scope& scope);
  Task<void> run();
};

// Without a pool the name is that of the picker's own Deployment: its pod's without the two random parts.
std::string name_of_pool(const PickerArguments& arguments) {
  if (!arguments.pool_names.empty()) {
    return arguments.pool_names.front();
  }
  const char* pod = std::getenv("POD_NAME");
  std::string name = pod != nullptr ? pod : "";
  for (int part = 0; part < 2; ++part) {
    name.erase(std::min(name.rfind('-'), name.size()));
  }
  return name;
}

kube::LeaseOptions Running::lease() const {
  const char* pod = std::getenv("POD_NAME");
  return {.key = {arguments.pool_namespace,
                  fmt::format("epp-{}-{}.llm-d.ai", arguments.pool_namespace, name_of_pool(arguments))},
          .identity = fmt::format("{}_{}", pod != nullptr ? pod : "llmd-picker", crypto::random_hex(8))};
}

extproc::PoolReference Running::reference(const std::string& pool) const {
  return {.group = arguments.pool_group,
          .name_space = arguments.pool_namespace,
          .name = pool,
          .selector = arguments.endpoint_selector,
          .target_ports = arguments.endpoint_ports};
}

Task<void> Running::follow(extproc::KubePool& watched, std::string name) {
  const extproc::PoolPtr pool = pools.pools()->find(name);
  watched.on_change([this, pool, name](std::vector<picker::Endpoint> endpoints, bool exists) {
    pool->picker->update(std::move(endpoints));
    found[name] = exists;
    program.set_synced(std::ranges::all_of(found, [](const auto& each) { return each.second; }));
  });
  if (arguments.objects_file.empty()) {
    watched.on_rules(
        [pool](std::shared_ptr<const extproc::Rules> rules) { pool->set_rules(std::move(rules)); });
  }
  co_await watched.run();
}

Task<void> Running::follow_kubernetes() {
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
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    for (const auto& [name, pool] : watched) {
      scope.spawn("inference pool", follow(*pool, name));
    }
    co_await scope.join();
  });
}

void Running::watch_files(async::Scope& scope) {
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

Task<void> Running::run() {
  const auto held = lease();
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("picker", program.run());
    scope.spawn("scrapers", pools.scrape());
    watch_files(scope);
    if (client != nullptr) {
      scope.spawn("inference pools", follow_kubernetes());
    }
    if (arguments.cert_reload && tls && !arguments.cert_path.empty()) {
      scope.spawn("certificate", extproc::watch_certificate(tls, arguments.cert_path));
    }
    async::Scope election(loop);
    if (client != nullptr && arguments.leader_election) {
      election.spawn("leader election",
                     kube::lead(*client, held, [this](bool leads) { program.set_leading(leads); }));
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
}

Result<void> check_kubernetes(const PickerArguments& arguments) {
  if (arguments.pool_names.empty() == arguments.endpoint_selector.empty()) {
    return invalid_argument("either pool-name or endpoint-selector must be set")
        .hint("or give --endpoints-file to run without Kubernetes");
  }
  if (!arguments.endpoint_selector.empty() && arguments.endpoint_ports.empty()) {
    return invalid_argument("endpoint-target-ports must be set together with endpoint-selector");
  }
  if (arguments.leader_election && name_of_pool(arguments).empty()) {
    return invalid_argument("ha-enable-leader-election needs POD_NAME where there is no pool-name")
        .hint("replicas find each other by the name of their Deployment");
  }
  return {};
}

// Pools, rules and endpoints as files say, or the names of pools that Kubernetes knows more about.
Result<void> fill_pools(const PickerArguments& arguments, EndpointSource& source,
                        extproc::ServedPools& pools) {
  if (!arguments.objects_file.empty()) {
    LLMD_TRY(source.objects_text, read_file(arguments.objects_file, picker::kMostFileBytes));
    LLMD_TRY(auto objects, extproc::parse_rule_objects(source.objects_text, arguments.objects_file));
    pools.set_rules(std::move(objects));
  }
  if (!source.file.empty()) {
    LLMD_TRY(source.text, read_file(source.file, picker::kMostFileBytes));
    LLMD_TRY(const auto endpoints, picker::parse_endpoints(source.text, source.file));
    return pools.apply(endpoints, std::filesystem::path(source.file).parent_path());
  }
  std::vector<std::string> names = arguments.pool_names;
  if (names.empty()) {
    names.push_back(name_of_pool(arguments));
  }
  for (const std::string& name : names) {
    LLMD_TRY_VOID(pools.add(name));
  }
  return {};
}

std::shared_ptr<extproc::MetricsGuard> guard_of(const PickerArguments& arguments, kube::Client* client) {
  using enum extproc::MetricsAccess;
  if (client != nullptr) {
    return std::make_shared<extproc::MetricsGuard>(
        arguments.metrics_auth.value_or(true) ? Reviewed : Everybody, client);
  }
  return std::make_shared<extproc::MetricsGuard>(arguments.metrics_auth.value_or(false) ? ThisMachine
                                                                                        : Everybody);
}

extproc::ProgramOptions program_options(const PickerArguments& arguments, kube::Client* client,
                                        std::shared_ptr<net::TlsServer> tls) {
  return {.grpc = {arguments.host, arguments.grpc_port},
          .health = {arguments.host, arguments.health_port},
          .metrics = {arguments.host, arguments.metrics_port},
          .loops = arguments.loops,
          .tls = std::move(tls),
          .max_message_bytes = arguments.max_message_bytes,
          .health_on_grpc = arguments.health_checking,
          .version = std::string(kVersion),
          .leader_election = arguments.leader_election,
          .metrics_guard = guard_of(arguments, client),
          .service = {.destination_header = arguments.destination_header,
                      .destination_namespace = arguments.destination_namespace,
                      .skip_response_bodies = arguments.skip_response_bodies,
                      .stream_metrics = arguments.stream_metrics}};
}

}  // namespace

Result<int> run_picker(Arguments words) {
  LLMD_TRY(const auto parsed, parse_picker_arguments(words));
  if (!parsed) {
    return 0;
  }
  const PickerArguments& arguments = *parsed;
  if (!arguments.replay_file.empty()) {
    return replay_decisions(arguments);
  }
  log::configure(arguments.verbosity >= 4 ? log::Level::Debug : log::Level::Info);
  // Bodies come and go: handing their pages back to the kernel after each costs more than all work on them.
  constexpr int kMostIdleBytes = 64 << 20;
  ::mallopt(M_TRIM_THRESHOLD, kMostIdleBytes);
  ::mallopt(M_MMAP_THRESHOLD, 8 << 20);
  metrics::Registry registry;
  LLMD_TRY(auto options, pools_of(arguments, registry));
  LLMD_TRY(EndpointSource source, source_of(arguments, {options.config_text, options.config_name}));
  async::EventLoop loop;
  std::unique_ptr<kube::Client> client;
  if (source.file.empty()) {
    LLMD_TRY_VOID(check_kubernetes(arguments));
    LLMD_TRY(auto config, kubernetes_of(arguments));
    LLMD_TRY(client, kube::Client::create(loop, std::move(config)));
  }
  extproc::ServedPools pools(loop, std::move(options));
  LLMD_TRY_VOID(fill_pools(arguments, source, pools));
  LLMD_TRY(const auto tls, make_tls(arguments));
  extproc::Program program(loop, pools.pools(), registry, program_options(arguments, client.get(), tls));
  Running running{.arguments = arguments,
                  .loop = loop,
                  .pools = pools,
                  .program = program,
                  .tls = tls,
                  .source = source,
                  .client = client.get()};
  if (!source.file.empty()) {
    program.set_synced(true);
    program.set_leading(true);
  }
  LLMD_TRY(const auto addresses, program.listen());
  fmt::print("picker grpc={} health={} metrics=http://{}\n", addresses.grpc.to_string(),
             addresses.health.to_string(), addresses.metrics.to_string());
  std::fflush(stdout);
  loop.block_on(running.run());
  return 0;
}

}  // namespace llmd::cli
