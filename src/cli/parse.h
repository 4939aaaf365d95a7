// CLI11 behind our error values.
#pragma once

#include "cli/command.h"

namespace CLI {
class App;
}

namespace llmd::cli {

// False: help was asked for and has been printed. Mistakes are InvalidArgument with the nearest option as
// advice.
Result<bool> parse(CLI::App& app, Arguments arguments);

}  // namespace llmd::cli
