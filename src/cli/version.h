#pragma once

#include <string_view>

namespace llmd::cli {

inline constexpr std::string_view kVersion = LLMD_VERSION;

}  // namespace llmd::cli
