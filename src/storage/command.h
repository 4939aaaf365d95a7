// `llmd fetch URI DIRECTORY`: what follows the word fetch.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::storage {

std::string_view fetch_usage();

// Blocks until the file is there, showing progress (on a terminal a bar on stderr, else JSON lines on
// stdout). The error has the exit code of its kind (base/error.h); SIGINT and SIGTERM end it with Cancelled
// and leave nothing half done.
Result<void> run_fetch(std::span<const std::string> arguments);

}  // namespace llmd::storage
