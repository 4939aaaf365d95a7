#include "bench/load.h"

#include <signal.h>

#include <cstdio>

#include "async/deadline.h"
#include "async/scope.h"
#include "bench/load_report.h"
#include "process/signals.h"

namespace llmd::bench {
namespace {

Result<Usage> measure(const LoadOptions& options) {
  Usage usage{.own = own_cpu_time()};
  for (const WatchedProcess& process : options.processes) {
    LLMD_TRY(const TreeUsage tree, read_tree_usage(process.pid));
    usage.trees.push_back(tree);
  }
  return usage;
}

// The first signal ends the run with a report, the second ends it at once.
Task<void> stop_on_signal(process::Signals& signals, Load& load) {
  co_await signals.wait();
  load.stop();
  co_await signals.wait();
}

Task<Result<LoadResult>> run_until_signal(async::EventLoop& loop, Load& load) {
  process::Signals signals(loop, {SIGINT, SIGTERM});
  auto stop = stop_on_signal(signals, load);
  auto work = load.run();
  auto result = co_await async::unless(std::move(stop), std::move(work));
  if (!result) {
    co_return cancelled("interrupted");
  }
  co_return std::move(*result);
}

}  // namespace

Result<int> run_load(std::span<const std::string> arguments) {
  LLMD_TRY(const LoadOptions options, parse_load_options(arguments));
  LLMD_TRY(Usage before, measure(options));
  Result<Usage> after = before;
  const LoadHooks hooks{.on_start =
                            [&] {
                              if (auto now = measure(options)) {
                                before = std::move(*now);
                              }
                            },
                        .on_end = [&] { after = measure(options); }};
  async::EventLoop loop;
  Load load(loop, options, hooks);
  auto work = run_until_signal(loop, load);
  LLMD_TRY(const LoadResult result, loop.block_on(std::move(work)));
  if (!after) {
    return std::unexpected(std::move(after).error().within("measuring at the end"));
  }
  const LoadReport report = make_report(options, result, before, *after);
  std::fputs((options.json ? to_json(report) : to_text(report)).c_str(), stdout);
  std::fflush(stdout);
  return result.failed > 0 || result.succeeded == 0 ? 1 : 0;
}

}  // namespace llmd::bench
