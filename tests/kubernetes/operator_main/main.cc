// operator_main KUBECONFIG: the operator as it runs on a cluster, until SIGTERM. Prints one line when it has
// begun.
#include <cstdio>

#include "async/scope.h"
#include "base/log.h"
#include "kube/client.h"
#include "operator/operator.h"
#include "process/signals.h"

namespace {

llmd::Task<llmd::Result<void>> operate(llmd::async::EventLoop& loop, std::string kubeconfig) {
  using namespace llmd;
  LLMD_CO_TRY(auto config, kube::ClientConfig::from_kubeconfig(kubeconfig));
  config.user_agent = "llmd-operator";
  LLMD_CO_TRY(const auto client, kube::Client::create(loop, config));
  operators::Operator the_operator(loop, *client,
                                   {.platform = llmisvc::Platform::Cluster, .gateway_url = {}});
  async::Scope scope(loop);
  scope.spawn("operator", the_operator.run());
  std::puts("operating");
  std::fflush(stdout);
  process::Signals signals(loop, {SIGTERM, SIGINT});
  co_await signals.wait();
  scope.cancel();
  co_await scope.close();
  co_return Result<void>();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: operator_main KUBECONFIG\n", stderr);
    return 2;
  }
  llmd::async::EventLoop loop;
  const auto result = loop.block_on(operate(loop, argv[1]));
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text().c_str());
  }
  return result ? 0 : 1;
}
