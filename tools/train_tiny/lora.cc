#include "train_tiny/lora.h"

#include <algorithm>
#include <cmath>

#include "train_tiny/gemm.h"
#include "train_tiny/random.h"

namespace llmd::train_tiny {

LoraLayout::LoraLayout(const Shape& shape, const LoraOptions& options)
    : scale(options.alpha / static_cast<float>(options.rank)) {
  for (const LayerWeights& l : Layout(shape).layers) {
    for (const Weight& base : {l.q, l.k, l.v, l.o, l.gate, l.up, l.down}) {
      const std::string module = "base_model.model." + base.name.substr(0, base.name.rfind(".weight"));
      Weight a{module + ".lora_A.weight", options.rank, base.columns, total};
      Weight b{module + ".lora_B.weight", base.rows, options.rank, total + a.size()};
      total += a.size() + b.size();
      pairs.push_back({base, a, b});
    }
  }
}

std::vector<Weight> LoraLayout::all() const {
  std::vector<Weight> weights;
  for (const LoraPair& pair : pairs) {
    weights.push_back(pair.a);
    weights.push_back(pair.b);
  }
  return weights;
}

std::vector<float> initial_lora(const LoraLayout& layout, std::uint64_t seed) {
  std::vector<float> adapter(layout.total);
  Random random(seed);
  for (const LoraPair& pair : layout.pairs) {
    const float spread = 1 / std::sqrt(static_cast<float>(pair.a.columns));
    std::generate_n(adapter.begin() + static_cast<std::ptrdiff_t>(pair.a.offset), pair.a.size(),
                    [&] { return spread * random.normal(); });
  }
  return adapter;
}

std::vector<float> merged(const LoraLayout& layout, std::span<const float> base,
                          std::span<const float> adapter) {
  std::vector<float> weights(base.begin(), base.end());
  std::vector<float> change;
  for (const auto& [at, a, b] : layout.pairs) {
    change.resize(at.size());
    gemm(at.rows, at.columns, a.rows, rows(adapter.data() + b.offset, b.columns),
         rows(adapter.data() + a.offset, a.columns), change.data(), at.columns);
    for (std::size_t i = 0; i < at.size(); ++i) {
      weights[at.offset + i] += layout.scale * change[i];
    }
  }
  return weights;
}

void adapter_gradient(const LoraLayout& layout, std::span<const float> merged_gradient,
                      std::span<const float> adapter, std::span<float> gradient) {
  for (const auto& [at, a, b] : layout.pairs) {
    const float* dense = merged_gradient.data() + at.offset;
    gemm(a.rows, a.columns, at.rows, transposed(adapter.data() + b.offset, b.columns),
         rows(dense, at.columns), gradient.data() + a.offset, a.columns);
    gemm(b.rows, b.columns, at.columns, rows(dense, at.columns),
         transposed(adapter.data() + a.offset, a.columns), gradient.data() + b.offset, b.columns);
  }
  std::ranges::transform(gradient, gradient.begin(), [&layout](float value) { return value * layout.scale; });
}

}  // namespace llmd::train_tiny
