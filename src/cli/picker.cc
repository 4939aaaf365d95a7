// `llmd picker`: the endpoint picker as a program of its own, with endpoints from a file or from Kubernetes.
#include <csignal>
#include <cstdlib>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/picker_options.h"
#include "crypto/random.h"
#include "extproc/endpoints_file.h"
#include "extproc/kube_pool.h"
#include "extproc/program.h"
#include "kube/client.h"
#include "kube/leader.h"
#include "picker/datalayer/scraper.h"
#include "picker/datalayer/sources.h"
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

Result<std::unique_ptr<picker::Picker>> load_picker(const PickerArguments& arguments,
                                                    metrics::Registry& registry) {
  picker::PickerOptions options;
  options.load.allow_experimental = arguments.experimental;
  options.pool = arguments.pool_name.empty() ? "default" : arguments.pool_name;
  options.metrics = &registry;
  options.emit_scores = arguments.emit_scores;
  options.subset_filter = !arguments.subset_filter_disabled;
  options.shed_status = arguments.compatible_shedding ? 503 : 429;
  LLMD_TRY(const ConfigText config, config_of(arguments));
  return picker::Picker::from_config(config.text, config.name, options);
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
};

// A file named on the command line, or by the configuration's discovery plugin.
EndpointSource source_of(const PickerArguments& arguments, const picker::Plan& plan) {
  if (!arguments.endpoints_file.empty()) {
    return {arguments.endpoints_file, true};
  }
  const auto* discovery = plan.find_as<picker::FileDiscovery>(plan.configuration.discovery);
  return discovery != nullptr ? EndpointSource{discovery->path, discovery->watch} : EndpointSource{};
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
  picker::Picker& picker;
  extproc::Program& program;
  std::shared_ptr<net::TlsServer> tls;
  EndpointSource source;
  std::unique_ptr<kube::Client> client;

  kube::LeaseOptions lease() const;
  extproc::PoolReference pool() const;
  Task<void> follow_kubernetes();
  Task<void> run();
};

// Without a pool the name is that of the picker's own Deployment: its pod's without the two random parts.
std::string name_of_pool(const PickerArguments& arguments) {
  const char* pod = std::getenv("POD_NAME");
  std::string name = arguments.pool_name;
  if (name.empty() && pod != nullptr) {
    name = pod;
    for (int part = 0; part < 2; ++part) {
      name.erase(std::min(name.rfind('-'), name.size()));
    }
  }
  return name;
}

kube::LeaseOptions Running::lease() const {
  const char* pod = std::getenv("POD_NAME");
  return {.key = {arguments.pool_namespace,
                  fmt::format("epp-{}-{}.llm-d.ai", arguments.pool_namespace, name_of_pool(arguments))},
          .identity = fmt::format("{}_{}", pod != nullptr ? pod : "llmd-picker", crypto::random_hex(8))};
}

extproc::PoolReference Running::pool() const {
  return {.group = arguments.pool_group,
          .name_space = arguments.pool_namespace,
          .name = name_of_pool(arguments),
          .selector = arguments.endpoint_selector,
          .target_ports = arguments.endpoint_ports};
}

Task<void> Running::follow_kubernetes() {
  extproc::KubePool watched(loop, *client, pool());
  watched.on_change([this](std::vector<picker::Endpoint> endpoints, bool found) {
    picker.update(std::move(endpoints));
    program.set_synced(found);
  });
  watched.on_priorities([this](std::shared_ptr<const extproc::Priorities> priorities) {
    std::vector<int> levels;
    for (const auto& [name, priority] : *priorities) {
      levels.push_back(priority);
    }
    picker.set_priorities(levels);
    program.set_priorities(std::move(priorities));
  });
  program.set_source_state([&watched] { return watched.state(); });
  co_await watched.run();
}

Task<void> Running::run() {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  picker::Scraper scraper(loop, picker, {.interval = arguments.refresh_interval});
  const auto held = lease();
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("picker", program.run());
    scope.spawn("scraper", scraper.run());
    if (source.watched) {
      scope.spawn("endpoints file", extproc::watch_endpoints(source.file, [this](auto endpoints) {
                    picker.update(std::move(endpoints));
                  }));
    }
    if (client) {
      scope.spawn("inference pool", follow_kubernetes());
    }
    if (arguments.cert_reload && tls && !arguments.cert_path.empty()) {
      scope.spawn("certificate", extproc::watch_certificate(tls, arguments.cert_path));
    }
    async::Scope election(loop);
    if (client && arguments.leader_election) {
      election.spawn("leader election",
                     kube::lead(*client, held, [this](bool leads) { program.set_leading(leads); }));
    }
    co_await signals.wait();
    co_await election.close();
    if (client && arguments.leader_election) {
      program.set_leading(false);  // before another one is
      co_await kube::give_up_lead(*client, held);
    }
    const Duration notice = client ? arguments.drain_timeout : Duration::zero();
    co_await program.drain(notice, async::Deadline::after(notice + kLastRequests));
    picker.shut_down();
  });
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
  metrics::Registry registry;
  LLMD_TRY(const auto picker, load_picker(arguments, registry));
  async::EventLoop loop;
  LLMD_TRY(const auto tls, make_tls(arguments));
  extproc::Program program(loop, *picker, registry,
                           {.grpc = {arguments.host, arguments.grpc_port},
                            .health = {arguments.host, arguments.health_port},
                            .metrics = {arguments.host, arguments.metrics_port},
                            .loops = arguments.loops,
                            .tls = tls,
                            .max_message_bytes = arguments.max_message_bytes,
                            .health_on_grpc = arguments.health_checking,
                            .leader_election = arguments.leader_election,
                            .service = {.destination_header = arguments.destination_header,
                                        .destination_namespace = arguments.destination_namespace,
                                        .skip_response_bodies = arguments.skip_response_bodies}});
  Running running{.arguments = arguments,
                  .loop = loop,
                  .picker = *picker,
                  .program = program,
                  .tls = tls,
                  .source = source_of(arguments, picker->plan())};
  if (!running.source.file.empty()) {
    LLMD_TRY(auto endpoints, extproc::read_endpoints(running.source.file));
    picker->update(std::move(endpoints));
    program.set_synced(true);
    program.set_leading(true);
  } else {
    if (arguments.pool_name.empty() == arguments.endpoint_selector.empty()) {
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
    LLMD_TRY(auto config, kubernetes_of(arguments));
    LLMD_TRY(running.client, kube::Client::create(loop, std::move(config)));
  }
  LLMD_TRY(const auto addresses, program.listen());
  fmt::print("picker grpc={} health={} metrics=http://{}\n", addresses.grpc.to_string(),
             addresses.health.to_string(), addresses.metrics.to_string());
  std::fflush(stdout);
  loop.block_on(running.run());
  return 0;
}

}  // namespace llmd::cli
