#include "bench/load.h"

#include "cli/command.h"

namespace llmd::cli {

Result<int> run_bench(Arguments arguments) {
  if (arguments.empty() || arguments.front() != "load") {
    fmt::print("usage: llmd bench load …\n\n{}", bench::load_usage());
    const bool asked = !arguments.empty() && (arguments.front() == "--help" || arguments.front() == "-h");
    return asked ? 0 : exit_code(ErrorKind::InvalidArgument);
  }
  return bench::run_load(arguments.subspan(1));
}

}  // namespace llmd::cli
