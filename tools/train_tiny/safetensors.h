// Safetensors files with bfloat16 tensors, as checkpoints and adapters need them.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"
#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

// `values` is the flat array the weights' offsets point into. Norms are stored with one dimension.
Result<void> write_safetensors(const std::filesystem::path& path, const std::vector<Weight>& weights,
                               std::span<const float> values);

// Reads back a file this tool wrote for the same weights; anything else is DataLoss. Not a general reader.
Result<std::vector<float>> read_safetensors(const std::filesystem::path& path,
                                            const std::vector<Weight>& weights);

}  // namespace llmd::train_tiny
