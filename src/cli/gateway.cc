// `llmd gateway -f DIR` or `llmd gateway --kubeconfig FILE`: the data plane alone, with Gateway API objects
// from files or from an API server.
#include "gateway/gateway.h"

#include <csignal>
#include <cstdlib>
#include <map>

#include "async/event.h"
#include "async/scope.h"
#include "base/strings.h"
#include "cli/freed_memory.h"
#include "cli/gateway_settings.h"
#include "cli/options.h"
#include "cli/version.h"
#include "crypto/random.h"
#include "gateway/file_source.h"
#include "gateway/kube_source.h"
#include "process/signals.h"
#include "trace/tracing.h"

namespace llmd::cli {
namespace {

// For entries made by hand, which may be for others to read only.
constexpr auto kRoutesWait = std::chrono::seconds(5);
constexpr auto kLastSpansWait = std::chrono::seconds(2);

struct GatewayArguments {
  std::vector<std::string> files;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  int loops = 1;
  bool open_listeners = false;
  std::vector<std::string> listener_ports;  // "443=8443"
  std::string certificate;
  std::string key;
  std::string kubeconfig;
  bool in_cluster = false;
  std::string routes_config_map;  // NAMESPACE/NAME
  std::string status_lease;       // NAMESPACE/NAME, or none
  std::string address;
  int drain_seconds = 10;
  GatewaySettings settings;
};

// "443=8443": the listeners of port 443 are served at 8443.
Result<std::map<std::uint16_t, std::uint16_t>> parse_ports(const std::vector<std::string>& texts) {
  std::map<std::uint16_t, std::uint16_t> ports;
  for (const std::string& text : texts) {
    const auto pieces = split(text, '=');
    const auto from = parse_integer(pieces.front());
    const auto to = parse_integer(pieces.back());
    if (pieces.size() != 2 || !from || !to || *from < 1 || *from > 65535 || *to < 0 || *to > 65535) {
      return invalid_argument("--listener-port {}: expected LISTENER_PORT=PORT, as in 443=8443", text);
    }
    ports[static_cast<std::uint16_t>(*from)] = static_cast<std::uint16_t>(*to);
  }
  return ports;
}

Result<gateway::GatewayOptions> options_of(const GatewayArguments& arguments) {
  LLMD_TRY(const auto configuration, arguments.settings.read());
  auto options = gateway::apply_configuration({.loops = arguments.loops}, configuration);
  options.open_listeners = arguments.open_listeners;
  options.listener_host = arguments.host;
  LLMD_TRY(options.listener_ports, parse_ports(arguments.listener_ports));
  if (!arguments.certificate.empty()) {
    LLMD_TRY(options.tls, net::TlsServer::from_files(arguments.certificate, arguments.key));
  }
  return options;
}

// Where the objects come from: exactly one of the two.
struct Source {
  std::unique_ptr<gateway::FileSource> files;
  std::unique_ptr<kube::Client> client;
  std::unique_ptr<gateway::KubeSource> objects;
  std::unique_ptr<gateway::ConfigMapRoutes> routes;
};

Result<kube::ObjectKey> parse_key(std::string_view option, const std::string& text, std::string usual) {
  if (text.empty()) {
    return kube::ObjectKey{kube::own_namespace(), std::move(usual)};
  }
  const auto pieces = split(text, '/');
  if (pieces.size() != 2 || pieces.front().empty() || pieces.back().empty()) {
    return invalid_argument("{} {}: expected NAMESPACE/NAME", option, text);
  }
  return kube::ObjectKey{std::string(pieces.front()), std::string(pieces.back())};
}

Result<std::optional<kube::LeaseOptions>> parse_lease(const std::string& text) {
  if (text == "none") {
    return std::nullopt;
  }
  LLMD_TRY(auto key, parse_key("--status-lease", text, "llmd-gateway"));
  const char* pod = std::getenv("POD_NAME");
  return kube::LeaseOptions{
      .key = std::move(key),
      .identity = fmt::format("{}_{}", pod != nullptr ? pod : "llmd-gateway", crypto::random_hex(8))};
}

// What clients call the gateway; unknown where it listens on every address.
std::string status_address(const GatewayArguments& arguments) {
  const bool everywhere = arguments.host == "0.0.0.0" || arguments.host == "::";
  return !arguments.address.empty() || everywhere ? arguments.address : arguments.host;
}

Result<Source> open_source(async::EventLoop& loop, gateway::Gateway& gateway,
                           const GatewayArguments& arguments) {
  const std::string address = status_address(arguments);
  Source source;
  if (!arguments.files.empty()) {
    source.files = std::make_unique<gateway::FileSource>(
        gateway, gateway::FileSourceOptions{.paths = arguments.files, .address = address});
    LLMD_TRY_VOID(source.files->load());
    return source;
  }
  LLMD_TRY(auto config, arguments.in_cluster ? kube::ClientConfig::in_cluster()
                                             : kube::ClientConfig::from_kubeconfig(arguments.kubeconfig));
  config.user_agent = "llmd-gateway";
  LLMD_TRY(source.client, kube::Client::create(loop, std::move(config)));
  LLMD_TRY(auto lease, parse_lease(arguments.status_lease));
  source.objects = std::make_unique<gateway::KubeSource>(
      loop, *source.client, gateway,
      gateway::KubeSourceOptions{.alone = false, .address = address, .status_lease = std::move(lease)});
  LLMD_TRY(auto key, parse_key("--routes-config-map", arguments.routes_config_map, "llmd-gateway-routes"));
  source.routes = std::make_unique<gateway::ConfigMapRoutes>(loop, *source.client, std::move(key));
  return source;
}

// One `llmd gateway` while it runs.
struct Running {
  const GatewayArguments& arguments;
  const gateway::GatewayOptions& options;
  async::EventLoop& loop;
  gateway::Gateway& gateway;
  trace::Tracing& tracing;
  async::Event asked_to_drain;
  async::Event objects_read;
  Source source = {};
  std::unique_ptr<gateway::Admin> admin = {};
  net::Address address = {};
  Result<void> outcome = {};

  Result<void> open();
  Result<void> listen();
  void announce() const;
  Task<void> run();
};

Result<void> Running::open() {
  if (!arguments.files.empty()) {
    LLMD_TRY_VOID(listen());
  }
  LLMD_TRY(source, open_source(loop, gateway, arguments));
  if (source.objects) {
    source.objects->on_update([this](const gateway::RouteObjects&) { objects_read.set(); });
  }
  LLMD_TRY(
      admin,
      open_admin(loop, gateway, arguments.settings, [this] { asked_to_drain.set(); }, source.routes.get()));
  return {};
}

Result<void> Running::listen() {
  LLMD_TRY(address, gateway.listen({arguments.host, arguments.port}));
  return {};
}

void Running::announce() const {
  fmt::print("gateway {}://{}\n", options.tls ? "https" : "http", address.to_string());
  for (const auto& [listener, port] : options.listener_ports) {
    if (const auto opened = gateway.listener_address(listener)) {
      fmt::print("listener {} {}\n", listener, opened->to_string());
    }
  }
  std::fflush(stdout);
}

Task<void> Running::run() {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  const auto signal = [&signals]() -> Task<void> { co_await signals.wait(); };
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("spans", tracing.run());
    scope.spawn("objects", source.files ? source.files->run() : source.objects->run());
    if (admin) {
      scope.spawn("admin", admin->run());
    }
    if (admin && source.routes) {
      scope.spawn("routes made by hand", source.routes->run());
    }
    // A replica that knows no routes yet must not be reached: it would refuse what the others serve.
    if (source.objects) {
      if (!co_await async::finishes_before(signal(), objects_read.wait())) {
        co_return;
      }
      if (admin) {
        co_await async::finishes_by(async::Deadline::after(kRoutesWait), source.routes->synced());
      }
      outcome = listen();
      if (!outcome) {
        co_return;
      }
    }
    announce();
    scope.spawn("gateway", gateway.run());
    co_await async::finishes_before(asked_to_drain.wait(), signal());
    co_await gateway.drain(async::Deadline::after(std::chrono::seconds(arguments.drain_seconds)));
  });
  co_await tracing.finish(async::Deadline::after(kLastSpansWait));
  if (source.objects) {
    co_await source.objects->step_down();
  }
}

Result<bool> parse(GatewayArguments& options, Arguments arguments) {
  Options command_line("llmd gateway", "Routes requests by Gateway API objects from files or an API server.");
  command_line.add("-f,--file", options.files,
                   "manifests of Gateway API objects, or folders of them; read again when they change");
  command_line.add("--kubeconfig", options.kubeconfig,
                   "objects from the API server that this file names, instead of files");
  command_line.add("--in-cluster", options.in_cluster, "objects from the API server of the pod's cluster");
  command_line.add("--routes-config-map", options.routes_config_map,
                   "NAMESPACE/NAME: where entries made by hand are kept on a cluster; "
                   "default: llmd-gateway-routes of the own namespace");
  command_line.add("--status-lease", options.status_lease,
                   "NAMESPACE/NAME: of the gateways with this Lease one writes status; none: this one does; "
                   "default: llmd-gateway of the own namespace");
  command_line.add("--host", options.host, "IP address to listen on");
  command_line.add("--port", options.port, "port to listen on, for all listeners; 0 takes a free one");
  command_line.add("--tls-cert", options.certificate, "certificate (PEM): HTTPS at --port; needs --tls-key");
  command_line.add("--tls-key", options.key, "key of --tls-cert (PEM)");
  command_line.add("--open-listeners", options.open_listeners,
                   "also open the ports of the Gateways' listeners");
  command_line.add("--listener-port", options.listener_ports,
                   "LISTENER_PORT=PORT: open another port than the listener names; 0 takes a free one");
  command_line.add("--address", options.address,
                   "what clients call the gateway, in status; default: --host, where it is one address");
  command_line.add("--loops", options.loops, "event loops, each with a thread").between(1, 256);
  command_line
      .add("--drain-seconds", options.drain_seconds, "seconds that running requests get after SIGTERM")
      .between(0, 3600);
  options.settings.describe(command_line, "--config");
  command_line.add("--data", options.settings.data,
                   "folder of the admin token and of entries made by hand; default: $XDG_STATE_HOME/llmd");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  const int sources = !options.files.empty() + !options.kubeconfig.empty() + options.in_cluster;
  if (go_on && sources != 1) {
    return sources == 0 ? invalid_argument("one of --file, --kubeconfig and --in-cluster is needed")
                        : invalid_argument("--file, --kubeconfig and --in-cluster exclude each other");
  }
  if (options.certificate.empty() != options.key.empty()) {
    return invalid_argument("--tls-cert and --tls-key belong together");
  }
  return go_on;
}

}  // namespace

Result<int> run_gateway(Arguments arguments) {
  GatewayArguments options;
  LLMD_TRY(const bool go_on, parse(options, arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(auto gateway_options, options_of(options));
  LLMD_TRY(auto tracing_settings, trace::trace_settings(trace::process_environment, "llmd-gateway"));
  keep_freed_memory(16 << 20);
  async::EventLoop loop;
  tracing_settings.resource.version = kVersion;
  LLMD_TRY(const auto tracing, trace::Tracing::create(loop, std::move(tracing_settings)));
  gateway_options.tracer = tracing->tracer();
  gateway::Gateway gateway(loop, gateway_options);
  Running running{.arguments = options,
                  .options = gateway_options,
                  .loop = loop,
                  .gateway = gateway,
                  .tracing = *tracing,
                  .asked_to_drain = async::Event(loop.executor()),
                  .objects_read = async::Event(loop.executor())};
  LLMD_TRY_VOID(running.open());
  loop.block_on(running.run());
  LLMD_TRY_VOID(running.outcome);
  return 0;
}

}  // namespace llmd::cli
