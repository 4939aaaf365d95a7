// `llmd gateway -f FILE…`: the data plane alone, with HTTPRoutes, Services and EndpointSlices from files.
#include "gateway/gateway.h"

#include <csignal>

#include "async/scope.h"
#include "cli/manifests.h"
#include "cli/options.h"
#include "gateway/build_routes.h"
#include "process/signals.h"

namespace llmd::cli {
namespace {

struct GatewayArguments {
  std::vector<std::string> files;
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  int loops = 1;
};

gateway::RouteTable routes_of(const std::vector<kube::Object>& objects) {
  gateway::RouteObjects sorted;
  for (const kube::Object& object : objects) {
    const auto kind = kube::kind_of(object);
    if (kind == kube::kHttpRoutes.kind) {
      sorted.http_routes.push_back(&object);
    } else if (kind == kube::kServices.kind) {
      sorted.services.push_back(&object);
    } else if (kind == kube::kEndpointSlices.kind) {
      sorted.endpoint_slices.push_back(&object);
    }
  }
  return gateway::build_routes(sorted);
}

Task<void> serve_until_signal(async::EventLoop& loop, gateway::Gateway& gateway) {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    scope.spawn("gateway", gateway.run());
    co_await signals.wait();
    co_await gateway.drain(async::Deadline::after(std::chrono::seconds(10)));
  });
}

}  // namespace

Result<int> run_gateway(Arguments arguments) {
  GatewayArguments options;
  Options command_line("llmd gateway",
                       "Routes requests by HTTPRoutes, Services and EndpointSlices from files.");
  command_line.add("-f,--file", options.files, "manifests or folders of them").required();
  command_line.add("--host", options.host, "address to listen on");
  command_line.add("--port", options.port, "port to listen on; 0 takes a free one");
  command_line.add("--loops", options.loops, "event loops, each with a thread").between(1, 256);
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto objects, load_manifests(options.files));
  async::EventLoop loop;
  gateway::Gateway gateway(loop, {.loops = options.loops});
  LLMD_TRY(const auto address, gateway.listen({options.host, options.port}));
  gateway.update(routes_of(objects));
  fmt::print("gateway http://{}\n", address.to_string());
  std::fflush(stdout);
  loop.block_on(serve_until_signal(loop, gateway));
  return 0;
}

}  // namespace llmd::cli
