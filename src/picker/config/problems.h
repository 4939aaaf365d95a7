// How problems of a configuration become errors and warnings. Private to picker.
#pragma once

#include <span>

#include "picker/config.h"
#include "picker/parameters.h"

namespace llmd::picker {

// Unknown parameters of the older group are warnings unless loading is strict; everything else is an error.
// The first error is returned; with a report all of them are written there instead.
Result<void> settle_problems(std::span<const Problem> problems, Configuration& configuration,
                             const LoadOptions& options, CheckReport* report);

Problem problem_at(std::string path, std::string message, std::string hint = {});

}  // namespace llmd::picker
