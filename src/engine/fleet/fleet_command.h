// `llmd bench routing`: a fleet goes through steps of load on virtual time and says what clients saw.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::engine::fleet {

std::string_view routing_usage();

// What follows "bench routing" on the command line. Writes JSON to stdout and returns the exit code.
Result<int> run_routing(std::span<const std::string> arguments);

}  // namespace llmd::engine::fleet
