#include "bench/load.h"

#include "cli/command.h"
#include "engine/fleet/fleet_command.h"

namespace llmd::cli {

Result<int> run_bench(Arguments arguments) {
  const std::string_view what = arguments.empty() ? "" : std::string_view(arguments.front());
  const auto rest = arguments.subspan(arguments.empty() ? 0 : 1);
  const auto asks = [](std::string_view word) { return word == "--help" || word == "-h"; };
  const bool helps = !rest.empty() && asks(rest.front());
  if (what == "load" && !helps) {
    return bench::run_load(rest);
  }
  if (what == "routing" && !helps) {
    return engine::fleet::run_routing(rest);
  }
  if (what != "load" && what != "routing" && !asks(what)) {
    return invalid_argument("expected load or routing{}", what.empty() ? "" : fmt::format(", got '{}'", what))
        .hint("`llmd bench --help` says more");
  }
  if (what != "routing") {
    fmt::print("Measures an OpenAI server as its clients see it.\n\n{}\n", bench::load_usage());
  }
  if (what != "load") {
    fmt::print("{}{}", asks(what) ? "\n" : "", engine::fleet::routing_usage());
  }
  return 0;
}

}  // namespace llmd::cli
