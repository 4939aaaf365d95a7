// The command line of `llmd serve`, in vLLM's syntax: --flag value, --flag=value, dashes and underscores
// alike,
// --no-flag, several words for lists, and --config FILE.yaml whose keys are flags (the command line wins).
#pragma once

#include <span>
#include <string>

#include "engine/server/serve_options.h"

namespace llmd::engine {

// InvalidArgument names the flag and, for a typing error, the nearest known one.
Result<ServeOptions> parse_arguments(std::span<const std::string> arguments);

std::string help_text();

}  // namespace llmd::engine
