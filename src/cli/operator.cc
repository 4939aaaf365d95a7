// `llmd operator`: reconciles LLMInferenceServices on a Kubernetes cluster, one replica at a time.
#include "operator/operator.h"

#include <csignal>
#include <cstdlib>

#include "async/event.h"
#include "async/scope.h"
#include "base/log.h"
#include "cli/options.h"
#include "crypto/random.h"
#include "http/server.h"
#include "kube/leader.h"
#include "operator/preset_installer.h"
#include "process/signals.h"

namespace llmd::cli {
namespace {

struct OperatorArguments {
  std::string kubeconfig;
  bool in_cluster = false;
  bool alone = false;  // no leader election
  std::string lease_namespace;
  std::string config_prefix = "kserve-";
  bool install_presets = false;
  std::string health = "127.0.0.1:8081";
};

// The program. Leads, then operates until it leads no longer, and again.
class OperatorProgram {
 public:
  OperatorProgram(async::EventLoop& loop, kube::Client& client, const OperatorArguments& arguments)
      : loop_(loop),
        client_(client),
        arguments_(arguments),
        lease_(lease_of(arguments)),
        leads_(loop.executor()),
        lost_(loop.executor()),
        health_(loop, {}, [this](http::Exchange& exchange) { return answer(exchange); }) {}

  Result<net::Address> listen(const net::Address& address) { return health_.listen(address); }
  Task<void> run();

 private:
  static kube::LeaseOptions lease_of(const OperatorArguments& arguments);
  Task<void> answer(http::Exchange& exchange);
  Task<void> serve_terms();
  Task<void> serve_term();
  void set_leading(bool leading);

  async::EventLoop& loop_;
  kube::Client& client_;
  const OperatorArguments& arguments_;
  const kube::LeaseOptions lease_;
  async::Event leads_;
  async::Event lost_;
  http::Server health_;
};

kube::LeaseOptions OperatorProgram::lease_of(const OperatorArguments& arguments) {
  const char* pod = std::getenv("POD_NAME");
  const std::string& where = arguments.lease_namespace;
  return {.key = {where.empty() ? kube::own_namespace() : where, "llmd-operator"},
          .identity = fmt::format("{}_{}", pod != nullptr ? pod : "llmd-operator", crypto::random_hex(8))};
}

Task<void> OperatorProgram::answer(http::Exchange& exchange) {
  const std::string_view path = exchange.request().path();
  const bool known = path == "/healthz" || path == "/livez" || path == "/readyz";
  co_await exchange.respond(known ? 200 : 404, "text/plain; charset=utf-8",
                            !known            ? "there are /healthz and /readyz\n"
                            : leads_.is_set() ? "leading\n"
                                              : "waiting for the lease\n");
}

void OperatorProgram::set_leading(bool leading) {
  if (leading) {
    lost_.reset();
    leads_.set();
  } else {
    leads_.reset();
    lost_.set();
  }
}

// A new operator each time: what the last one knew may be wrong by now.
Task<void> OperatorProgram::serve_term() {
  if (arguments_.install_presets) {
    const auto installed =
        co_await operators::install_presets(client_, {.config_prefix = arguments_.config_prefix});
    if (!installed) {
      log::warning("presets not installed", {{"problem", installed.error().text()}});
    }
  }
  operators::Operator the_operator(
      loop_, client_,
      {.config_prefix = arguments_.config_prefix, .platform = llmisvc::Platform::Cluster, .gateway_url = {}});
  co_await the_operator.run();
}

Task<void> OperatorProgram::serve_terms() {
  while (true) {
    co_await leads_.wait();
    co_await async::finishes_before(lost_.wait(), serve_term());
  }
}

Task<void> OperatorProgram::run() {
  process::Signals signals(loop_, {SIGINT, SIGTERM});
  co_await async::with_scope(loop_.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("health", health_.run());
    scope.spawn("operator", serve_terms());
    if (arguments_.alone) {
      set_leading(true);
    } else {
      scope.spawn("leader election",
                  kube::lead(client_, lease_, [this](bool leading) { set_leading(leading); }));
    }
    co_await signals.wait();
  });
  if (!arguments_.alone) {
    co_await kube::give_up_lead(client_, lease_);
  }
}

Result<bool> parse(OperatorArguments& options, Arguments arguments) {
  Options line("llmd operator", "Reconciles LLMInferenceServices on a Kubernetes cluster.");
  line.add("--kubeconfig", options.kubeconfig, "how to reach the API server");
  line.add("--in-cluster", options.in_cluster, "as the account of the pod this runs in");
  line.add("--no-leader-election", options.alone, "this is the only replica");
  line.add("--lease-namespace", options.lease_namespace,
           "where the Lease llmd-operator is; default: the own namespace");
  line.add("--config-prefix", options.config_prefix, "what names of presets begin with");
  line.add("--install-presets", options.install_presets,
           "put the built-in presets on the cluster; those of others stay");
  line.add("--health", options.health, "HOST:PORT of /healthz and /readyz; port 0 takes a free one");
  LLMD_TRY(const bool go_on, line.parse(arguments));
  if (go_on && options.kubeconfig.empty() != options.in_cluster) {
    return invalid_argument("llmd operator: one of --kubeconfig and --in-cluster is needed")
        .hint("on one machine llmd up has an operator of its own");
  }
  return go_on;
}

}  // namespace

Result<int> run_operator(Arguments arguments) {
  OperatorArguments options;
  LLMD_TRY(const bool go_on, parse(options, arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(auto config, options.in_cluster ? kube::ClientConfig::in_cluster()
                                           : kube::ClientConfig::from_kubeconfig(options.kubeconfig));
  config.user_agent = "llmd-operator";
  async::EventLoop loop;
  LLMD_TRY(const auto client, kube::Client::create(loop, std::move(config)));
  OperatorProgram program(loop, *client, options);
  LLMD_TRY(const auto address, net::parse_address(options.health));
  LLMD_TRY(const auto bound, program.listen(address));
  fmt::print("operator health http://{}\n", bound.to_string());
  std::fflush(stdout);
  loop.block_on(program.run());
  return 0;
}

}  // namespace llmd::cli
