// Where MODEL is, and how much memory its cache may take.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace llmd::engine {

using Environment = std::function<std::optional<std::string>(const char* name)>;
Environment process_environment();

// A folder, a .gguf file, a file:// URI of one, or org/name in the Hugging Face cache (HF_HUB_CACHE, HF_HOME,
// ~/.cache/huggingface/hub); NotFound lists the places that were searched.
Result<std::filesystem::path> find_model(const std::string& model, const Environment& environment);

// Bytes that this process may still use: the machine's available memory or the control group's limit, if
// lower. `root` stands for "/" in tests.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace llmd::engine
