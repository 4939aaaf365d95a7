// The command tree: `llmd NAME ARGUMENTS…`. A command is a function from its arguments to an exit code;
// errors are printed by run_command() as "llmd NAME: message" with the advice below.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::cli {

using Arguments = std::span<const std::string>;  // after the command's name

struct Command {
  std::string_view name;
  std::string_view summary;  // one line for the help; empty: not listed
  Result<int> (*run)(Arguments arguments);
};

std::span<const Command> commands();

// The whole program: argv[1] chooses. Unknown commands name the nearest one.
int run_program(int argc, const char* const* argv);

// One function per command, each in a file of its own name.
Result<int> run_up(Arguments arguments);
Result<int> run_serve(Arguments arguments);
Result<int> run_fetch(Arguments arguments);
Result<int> run_bench(Arguments arguments);
Result<int> run_get(Arguments arguments);
Result<int> run_logs(Arguments arguments);
Result<int> run_check(Arguments arguments);
Result<int> run_render(Arguments arguments);
Result<int> run_convert(Arguments arguments);
Result<int> run_plan(Arguments arguments);
Result<int> run_explain_config(Arguments arguments);
Result<int> run_gateway(Arguments arguments);
Result<int> run_operator(Arguments arguments);
Result<int> run_picker(Arguments arguments);
Result<int> run_explain(Arguments arguments);
Result<int> run_shim_command(Arguments arguments);
Result<int> run_version(Arguments arguments);

}  // namespace llmd::cli
