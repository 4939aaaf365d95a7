// A file that may change while the program runs.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "async/task.h"
#include "base/result.h"

namespace llmd::picker {

inline constexpr std::size_t kMostFileBytes = 1024 * 1024;

// Looks once per second whether the content is another than `last` (what has been read before), until
// cancelled. `changed` gets the new content; its error is logged, and so is a file that cannot be read: both
// leave everything as it was.
Task<void> watch_file(std::filesystem::path file, std::string last,
                      std::function<Result<void>(const std::string& text)> changed);

}  // namespace llmd::picker
