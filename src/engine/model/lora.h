// Low-rank adapters in PEFT's format: adapter_config.json and adapter_model.safetensors.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/model/model.h"

namespace llmd::engine {

enum class LoraTarget { Query, Key, Value, Output, Gate, Up, Down };
inline constexpr int kLoraTargets = 7;

// y += up(down(x)); both in floats, the scale is folded into `up`. Ranks may differ per matrix.
struct LoraPair {
  PackedMatrix down;  // rank x columns
  PackedMatrix up;    // rows x rank
  bool present() const { return down.data != nullptr; }
};

class Lora final : public LoraAdapter {
 public:
  int rank() const override { return rank_; }
  const LoraPair& pair(int layer, LoraTarget target) const {
    return pairs_[static_cast<std::size_t>(layer) * kLoraTargets + static_cast<std::size_t>(target)];
  }

 private:
  friend class LoraLoader;
  int rank_ = 0;  // the largest
  std::vector<LoraPair> pairs_;
  AlignedBuffer memory_;
};

Result<std::unique_ptr<Lora>> load_lora(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace llmd::engine
