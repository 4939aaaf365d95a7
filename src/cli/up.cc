// `llmd up`: composes API server, controllers, operator, node and gateway on
// one event loop.
#include <boost/json.hpp>

#include <csignal>

#include "apiserver/api_server.h"
#include "async/scope.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/log_file.h"
#include "cli/manifests.h"
#include "cli/running.h"
#include "cli/status_watch.h"
#include "cli/up_options.h"
#include "cli/version.h"
#include "controllers/controllers.h"
#include "gateway/gateway.h"
#include "gateway/kube_source.h"
#include "kube/client.h"
#include "node/node.h"
#include "operator/operator.h"
#include "process/signals.h"
#include "trace/tracing.h"

namespace llmd::cli {
namespace {

using namespace std::chrono_literals;

// Everything that runs inside one `llmd up`. Members are destroyed in reverse
// order of what depends on what.
class Machine {
 public:
  Machine(async::EventLoop& loop, const UpOptions& options, const DataDirectory& data)
      : loop_(loop), options_(options), data_(data), server_scope_(loop), scope_(loop) {}

  // Listens and connects; nothing is served before run().
  Result<void> open();
  // Serves until a signal; returns when no process is left.
  Task<Result<void>> run(std::vector<kube::Object> objects);

 private:
  Result<void> open_api_server(const Credentials& credentials);
  Result<void> open_clients(const Credentials& credentials);
  void start();
  Task<void> announce();
  Task<void> stop();

  async::EventLoop& loop_;
  const UpOptions& options_;
  const DataDirectory& data_;
  async::Scope server_scope_;  // the API server goes last: everybody needs it to
                               // say goodbye
  async::Scope scope_;
  net::Address api_address_;
  net::Address gateway_address_;
  std::unique_ptr<apiserver::ApiServer> api_server_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<controllers::Controllers> controllers_;
  std::unique_ptr<operators::Operator> operator_;
  std::unique_ptr<trace::Tracing> tracing_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::Admin> admin_;  // null: none is wanted, or its port is in use
  std::unique_ptr<gateway::KubeSource> routes_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<StatusWatch> status_;
};

Error with_port_hint(Error error, std::string_view option) {
  return error.kind == ErrorKind::Unavailable
             ? std::move(error).hint(
                   fmt::format("another program uses it; choose another with {} PORT", option))
             : std::move(error);
}

Result<void> Machine::open() {
  LLMD_TRY(const auto credentials, ensure_credentials(data_));
  LLMD_TRY_VOID(open_api_server(credentials));
  LLMD_TRY(const auto configuration, options_.gateway.read());
  LLMD_TRY(auto tracing_settings, trace::trace_settings(trace::process_environment, "llmd-gateway"));
  tracing_settings.resource.version = kVersion;
  LLMD_TRY(tracing_, trace::Tracing::create(loop_, std::move(tracing_settings)));
  gateway_ = std::make_unique<gateway::Gateway>(
      loop_, gateway::apply_configuration({.tracer = tracing_->tracer()}, configuration));
  auto address = gateway_->listen({options_.host, options_.port});
  if (!address) {
    return std::unexpected(with_port_hint(std::move(address).error().within("gateway"), "--port"));
  }
  gateway_address_ = *address;
  GatewaySettings settings = options_.gateway;
  settings.data = data_.root().string();
  LLMD_TRY(admin_, open_admin(loop_, *gateway_, settings, {}));
  LLMD_TRY_VOID(open_clients(credentials));
  return write_running(data_, {api_address_, gateway_address_});
}

Result<void> Machine::open_api_server(const Credentials& credentials) {
  LLMD_TRY(api_server_, apiserver::ApiServer::create(loop_, {.data_directory = data_.root(),
                                                             .address = {options_.host, options_.api_port},
                                                             .certificate = data_.certificate(),
                                                             .key = data_.key(),
                                                             .bearer_token = credentials.token}));
  auto address = api_server_->listen();
  if (!address) {
    return std::unexpected(with_port_hint(std::move(address).error().within("API server"), "--api-port"));
  }
  api_address_ = *address;
  return apiserver::write_kubeconfig(data_.kubeconfig(), api_address_, credentials.certificate_pem,
                                     credentials.token);
}

Result<void> Machine::open_clients(const Credentials& credentials) {
  const auto self = std::filesystem::canonical("/proc/self/exe");
  LLMD_TRY(client_, kube::Client::create(loop_, {.server = api_address_,
                                                 .ca_pem = credentials.certificate_pem,
                                                 .bearer_token = credentials.token,
                                                 .user_agent = "llmd-up"}));
  controllers_ = std::make_unique<controllers::Controllers>(loop_, *client_);
  operator_ = std::make_unique<operators::Operator>(
      loop_, *client_, operators::OperatorOptions{.gateway_url = "http://" + gateway_address_.to_string()});
  routes_ = std::make_unique<gateway::KubeSource>(
      loop_, *client_, *gateway_, gateway::KubeSourceOptions{.address = gateway_address_.host});
  node_ = std::make_unique<node::Node>(
      loop_, *client_,
      node::NodeOptions{.data = data_.root(),
                        .llmd = self,
                        .model_cache = data_.models(),
                        .shutdown_grace = std::chrono::seconds(options_.shutdown_seconds)});
  status_ = std::make_unique<StatusWatch>(loop_, *client_, data_.root());
  return {};
}

void Machine::start() {
  scope_.spawn("spans", tracing_->run());
  scope_.spawn("gateway", gateway_->run());
  if (admin_) {
    scope_.spawn("admin", admin_->run());
  }
  scope_.spawn("routes", routes_->run());
  scope_.spawn("controllers", controllers_->run());
  scope_.spawn("operator", operator_->run());
  scope_.spawn("node", node_->run());
  scope_.spawn("watch services", status_->run_services());
  scope_.spawn("watch pods", status_->run_pods());
  scope_.spawn("status", announce());
}

Task<void> Machine::announce() {
  fmt::print(
      "API server  https://{}  KUBECONFIG={}\ngateway     "
      "http://{}\nlog         {}\n\n",
      api_address_.to_string(), data_.kubeconfig().string(), gateway_address_.to_string(),
      data_.log().string());
  co_await status_->until_ready();
  fmt::print("{}\nCtrl-C stops everything.\n", status_->summary());
  std::fflush(stdout);
  co_await status_->follow();
}

Task<void> Machine::stop() {
  fmt::print("\nstopping…\n");
  std::fflush(stdout);
  co_await gateway_->drain(async::Deadline::after(1s));
  co_await scope_.close();
  co_await tracing_->finish(async::Deadline::after(1s));
  co_await node_->shutdown();
  co_await server_scope_.close();
}

Task<Result<void>> Machine::run(std::vector<kube::Object> objects) {
  process::Signals signals(loop_, {SIGINT, SIGTERM, SIGHUP});
  server_scope_.spawn("API server", api_server_->run());
  const auto applied = co_await apply_manifests(*client_, std::move(objects));
  if (!applied) {
    co_await server_scope_.close();
    co_return applied;
  }
  start();
  co_await signals.wait();
  co_await stop();
  co_return Result<void>();
}

Task<void> wait_for_signal(process::Signals& signals) {
  co_await signals.wait();
}

// Another `llmd up` holds the data directory: hand it the manifests and show
// what becomes of them.
Task<Result<void>> join_running(async::EventLoop& loop, const DataDirectory& data,
                                std::vector<kube::Object> objects) {
  LLMD_CO_TRY(auto config, kube::ClientConfig::from_kubeconfig(data.kubeconfig().string()));
  LLMD_CO_TRY(const auto client, kube::Client::create(loop, std::move(config)));
  fmt::print("another llmd up runs on {}; applying to it\n", data.root().string());
  LLMD_CO_TRY_VOID(co_await apply_manifests(*client, std::move(objects)));
  StatusWatch status(loop, *client, data.root());
  process::Signals signals(loop, {SIGINT, SIGTERM});
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("watch services", status.run_services());
    scope.spawn("watch pods", status.run_pods());
    if (co_await async::finishes_before(wait_for_signal(signals), status.until_ready())) {
      fmt::print("{}", status.summary());
    }
  });
  co_return Result<void>();
}

}  // namespace

Result<int> run_up(Arguments arguments) {
  LLMD_TRY(const auto options, parse_up_options(arguments));
  if (!options) {
    return 0;
  }
  LLMD_TRY(auto objects, load_manifests(options->files));
  LLMD_TRY(const auto data, DataDirectory::open(options->data));
  async::EventLoop loop;
  const auto lock = data.lock();
  if (!lock) {
    if (lock.error().kind != ErrorKind::FailedPrecondition) {
      return std::unexpected(lock.error());
    }
    LLMD_TRY_VOID(loop.block_on(join_running(loop, data, std::move(objects))));
    return 0;
  }
  const LogFile log(data.log());
  Machine machine(loop, *options, data);
  LLMD_TRY_VOID(machine.open());
  LLMD_TRY_VOID(loop.block_on(machine.run(std::move(objects))));
  return 0;
}

}  // namespace llmd::cli
