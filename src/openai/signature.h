// How the system block begins in which Claude Code signs each of its requests differently. Engines leave the
// block out, or nothing of a prompt could be found in their caches. Private to openai.
#pragma once

#include <string_view>

namespace llmd::openai {

inline constexpr std::string_view kSignature = "x-anthropic-billing-header";

}  // namespace llmd::openai
