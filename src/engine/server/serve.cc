#include "engine/server/serve.h"

#include <fmt/core.h>

#include <csignal>
#include <cstdlib>

#include "base/log.h"
#include "engine/server/arguments.h"
#include "engine/server/service.h"
#include "process/signals.h"

namespace llmd::engine {
namespace {

Task<void> stop_on_signal(process::Signals& signals, Service& service) {
  const int number = co_await signals.wait();
  log::info("signal", {{"number", number}});
  service.stop();
  co_await signals.wait();  // a second one means now
  log::warning("stopping at once", {});
  std::_Exit(130);
}

Task<Result<void>> run(async::EventLoop& loop, Service& service) {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  Result<void> result;
  auto body = [&](async::Scope& scope) -> Task<void> {
    scope.spawn("signals", stop_on_signal(signals, service));
    result = co_await service.run();
  };
  co_await async::with_scope(loop.executor(), body);
  co_return result;
}

int fail(const Error& error) {
  fmt::print(stderr, "llmd serve: {}\n", error.text());
  return exit_code(error.kind);
}

}  // namespace

int serve(std::span<const std::string> arguments) {
  Result<ServeOptions> options = parse_arguments(arguments);
  if (!options) {
    return fail(options.error());
  }
  if (options->help) {
    fmt::print("{}", help_text());
    return 0;
  }
  if (options->version) {
    fmt::print("{}\n", reported_version());
    return 0;
  }
  for (const std::string& warning : options->warnings) {
    log::warning(warning);
  }
  async::EventLoop loop;
  Service service(loop, std::move(*options));
  const Result<net::Address> address = service.listen();
  if (!address) {
    return fail(address.error());
  }
  log::info("listening", {{"address", address->to_string()}, {"port", address->port}});
  const Result<void> result = loop.block_on(run(loop, service));
  if (!result) {
    // Not by the way of destructors: they would wait for an engine that may hang.
    std::_Exit(fail(result.error()));
  }
  return 0;
}

}  // namespace llmd::engine
