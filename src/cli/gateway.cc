// `llmd gateway -f FILE…`: the data plane alone, with HTTPRoutes, Services and EndpointSlices from files.
#include "gateway/gateway.h"

#include <CLI/CLI.hpp>

#include <csignal>

#include "async/scope.h"
#include "cli/manifests.h"
#include "cli/parse.h"
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
  CLI::App app("Routes requests by HTTPRoutes, Services and EndpointSlices from files.", "llmd gateway");
  app.add_option("-f,--file", options.files, "manifests or folders of them")->required();
  app.add_option("--host", options.host, "address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "port to listen on; 0 takes a free one")->capture_default_str();
  app.add_option("--loops", options.loops, "event loops, each with a thread")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  LLMD_TRY(const bool go_on, parse(app, arguments));
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
