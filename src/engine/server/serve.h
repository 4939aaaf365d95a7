// `llmd serve MODEL [flags]`.
#pragma once

#include <span>
#include <string>

namespace llmd::engine {

// Runs until SIGINT or SIGTERM, the engine's death, or a failed start; returns the process's exit code.
// `arguments` are the words behind `serve`.
int serve(std::span<const std::string> arguments);

}  // namespace llmd::engine
