// Models in GGUF files: keys `llama.*` / `qwen2.*`, tensors `blk.N.*`.

#include <limits>
#include <optional>
#include <utility>

#include "engine/kernels/quant_block.h"
#include "engine/model/rope.h"
#include "engine/model/source.h"
#include "modelfile/gguf.h"

namespace llmd::engine {
namespace {

using modelfile::GgufFile;
using modelfile::TensorView;

struct Names {
  std::string_view whole;  // not of a layer
  std::string_view layer;  // after "blk.N."
};

Names names_of(Part part) {
  switch (part) {
    case Part::Embedding:
      return {"token_embd.weight", {}};
    case Part::FinalNorm:
      return {"output_norm.weight", {}};
    case Part::Head:
      return {"output.weight", {}};
    case Part::AttentionNorm:
      return {{}, "attn_norm.weight"};
    case Part::Query:
      return {{}, "attn_q.weight"};
    case Part::Key:
      return {{}, "attn_k.weight"};
    case Part::Value:
      return {{}, "attn_v.weight"};
    case Part::Output:
      return {{}, "attn_output.weight"};
    case Part::FeedForwardNorm:
      return {{}, "ffn_norm.weight"};
    case Part::Gate:
      return {{}, "ffn_gate.weight"};
    case Part::Up:
      return {{}, "ffn_up.weight"};
    case Part::Down:
      return {{}, "ffn_down.weight"};
    case Part::QueryBias:
      return {{}, "attn_q.bias"};
    case Part::KeyBias:
      return {{}, "attn_k.bias"};
    case Part::ValueBias:
      return {{}, "attn_v.bias"};
  }
  return {};
}

class GgufSource final : public ModelSource {
 public:
  explicit GgufSource(GgufFile file) : file_(std::move(file)) {}

  Result<void> read();

  const ModelConfig& config() const override { return config_; }
  const std::vector<float>& frequencies() const override { return frequencies_; }
  // The converter of the Llama family stores query and key rows for interleaved rotation, that of Qwen2 does
  // not.
  bool interleaved_rotation() const override { return config_.family == Family::Llama; }
  const TensorView* find(Part part, int layer) const override { return file_.tensor(name_of(part, layer)); }
  std::string name_of(Part part, int layer) const override {
    const Names names = names_of(part);
    return names.layer.empty() ? std::string(names.whole) : fmt::format("blk.{}.{}", layer, names.layer);
  }

 private:
  std::string key(std::string_view tail) const { return fmt::format("{}.{}", architecture_, tail); }
  Result<int> count(std::string_view tail, std::optional<int> fallback = std::nullopt) const;
  Result<float> number(std::string_view tail, float fallback) const;
  Result<void> read_config();
  Result<void> read_rotation();

  GgufFile file_;
  std::string architecture_;
  ModelConfig config_;
  std::vector<float> frequencies_;
};

Result<int> GgufSource::count(std::string_view tail, std::optional<int> fallback) const {
  if (fallback && !file_.has(key(tail))) {
    return *fallback;
  }
  LLMD_TRY(const auto value, file_.integer(key(tail)));
  if (value < 0 || value > std::numeric_limits<int>::max()) {
    return data_loss("{}: {}: {} is out of range", file_.name(), key(tail), value);
  }
  return static_cast<int>(value);
}

Result<float> GgufSource::number(std::string_view tail, float fallback) const {
  if (!file_.has(key(tail))) {
    return fallback;
  }
  LLMD_TRY(const auto value, file_.number(key(tail)));
  return static_cast<float>(value);
}

Result<void> GgufSource::read_config() {
  LLMD_TRY(const auto architecture, file_.string("general.architecture"));
  if (architecture != "llama" && architecture != "qwen2") {
    return unimplemented("{}: architecture {} is not supported", file_.name(), architecture)
        .hint("llama and qwen2 are");
  }
  architecture_ = architecture;
  config_.family = architecture == "qwen2" ? Family::Qwen2 : Family::Llama;
  config_.name = std::filesystem::path(file_.name()).stem().string();
  if (file_.has("general.name")) {
    LLMD_TRY(config_.name, file_.string("general.name"));
  }
  LLMD_TRY(config_.layers, count("block_count"));
  LLMD_TRY(config_.hidden_size, count("embedding_length"));
  LLMD_TRY(config_.feed_forward, count("feed_forward_length"));
  LLMD_TRY(config_.heads, count("attention.head_count"));
  LLMD_TRY(config_.kv_heads, count("attention.head_count_kv", config_.heads));
  LLMD_TRY(config_.head_dim,
           count("attention.key_length", config_.heads > 0 ? config_.hidden_size / config_.heads : 0));
  LLMD_TRY(config_.max_positions, count("context_length"));
  LLMD_TRY(config_.rope_theta, number("rope.freq_base", 10000));
  LLMD_TRY(config_.norm_epsilon, number("attention.layer_norm_rms_epsilon", 1e-5F));
  if (count("expert_count", 0).value_or(0) > 0) {
    return unimplemented("{}: mixture-of-experts models are not supported", file_.name());
  }
  const TensorView* const embedding = find(Part::Embedding, 0);
  if (embedding == nullptr || embedding->shape.size() != 2) {
    return data_loss("{}: token_embd.weight: missing or no matrix", file_.name());
  }
  config_.vocab_size =
      static_cast<int>(std::min<std::int64_t>(embedding->shape[0], std::numeric_limits<int>::max()));
  config_.tied_embeddings = find(Part::Head, 0) == nullptr;
  return {};
}

Result<void> GgufSource::read_rotation() {
  LLMD_TRY(const int rotated, count("rope.dimension_count", config_.head_dim));
  if (rotated != config_.head_dim) {
    return unimplemented("{}: rotation of {} of {} dimensions is not supported", file_.name(), rotated,
                         config_.head_dim);
  }
  RopeSettings settings{.theta = config_.rope_theta};
  if (file_.has(key("rope.scaling.type"))) {
    LLMD_TRY(const auto type, file_.string(key("rope.scaling.type")));
    if (type == "linear") {
      settings.scaling = RopeScaling::Linear;
      LLMD_TRY(settings.factor, number("rope.scaling.factor", 1));
    } else if (type != "none") {
      return unimplemented("{}: rope scaling {} is not supported", file_.name(), type);
    }
  }
  if (!(settings.factor > 0)) {
    return data_loss("{}: rope.scaling.factor: {} must be positive", file_.name(), settings.factor);
  }
  frequencies_ = rope_frequencies(settings, config_.head_dim);
  // Llama 3 scaling comes precomputed, as one divisor per pair.
  const TensorView* const divisors = file_.tensor("rope_freqs.weight");
  if (divisors != nullptr) {
    if (divisors->type != modelfile::TensorType::F32 ||
        divisors->bytes.size() != frequencies_.size() * sizeof(float)) {
      return data_loss("{}: rope_freqs.weight: expected {} floats", file_.name(), frequencies_.size());
    }
    std::vector<float> values(frequencies_.size());
    dequantise_row(divisors->type, divisors->bytes.data(), values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      frequencies_[i] /= values[i];
    }
  }
  return {};
}

Result<void> GgufSource::read() {
  LLMD_TRY_VOID(read_config());
  if (auto good = check(config_); !good) {
    return std::unexpected(std::move(good).error().within(file_.name()));
  }
  return read_rotation();
}

}  // namespace

Result<std::unique_ptr<ModelSource>> open_gguf_source(const std::filesystem::path& path) {
  LLMD_TRY(auto file, GgufFile::open(path));
  auto source = std::make_unique<GgufSource>(std::move(file));
  LLMD_TRY_VOID(source->read());
  return source;
}

}  // namespace llmd::engine
