// `llmd bench load`: sends chat or completion requests to a URL and measures what clients and machines see.
//
// Closed loop: N clients, each sends its next request when the last is answered. Open loop (--rate): requests
// start at their times whatever the answers do, and are measured from the time they were meant to start, so a
// server that stalls cannot hide it by slowing its clients down (no coordinated omission).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::bench {

std::string_view load_usage();

// What follows "bench load" on the command line. Writes the report to stdout and returns the exit code: 0, or
// 1 when a request failed. Errors: wrong arguments, a process that does not exist. SIGINT ends the run early,
// with a report.
Result<int> run_load(std::span<const std::string> arguments);

}  // namespace llmd::bench
