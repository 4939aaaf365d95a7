#include "bench/load.h"

#include "cli/command.h"
#include "engine/fleet/fleet_command.h"

namespace llmd::cli {

Result<int> run_bench(Arguments arguments) {
  const std::string_view what = arguments.empty() ? "" : std::string_view(arguments.front());
  const auto rest = arguments.subspan(arguments.empty() ? 0 : 1);
  if (what == "load") {
    return bench::run_load(rest);
  }
  if (what == "routing" && (rest.empty() || rest.front() != "--help")) {
    return engine::fleet::run_routing(rest);
  }
  fmt::print("usage: llmd bench load …\n\n{}\n{}", bench::load_usage(), engine::fleet::routing_usage());
  const bool asked = what == "--help" || what == "-h" || what == "routing";
  return asked ? 0 : exit_code(ErrorKind::InvalidArgument);
}

}  // namespace llmd::cli
