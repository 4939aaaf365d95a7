// Models in Hugging Face folders: config.json and safetensors named model.layers.N.*.

#include <boost/json.hpp>
#include <limits>
#include <optional>
#include <utility>

#include "base/log.h"
#include "engine/model/rope.h"
#include "engine/model/source.h"
#include "modelfile/safetensors.h"

namespace llmd::engine {
namespace {

using modelfile::SafetensorsSet;
using modelfile::TensorView;

constexpr std::size_t kMaxConfig = std::size_t{4} << 20;

struct Names {
  std::string_view whole;
  std::string_view layer;  // after "model.layers.N."
};

Names names_of(Part part) {
  switch (part) {
    case Part::Embedding:
      return {"model.embed_tokens.weight", {}};
    case Part::FinalNorm:
      return {"model.norm.weight", {}};
    case Part::Head:
      return {"lm_head.weight", {}};
    case Part::AttentionNorm:
      return {{}, "input_layernorm.weight"};
    case Part::Query:
      return {{}, "self_attn.q_proj.weight"};
    case Part::Key:
      return {{}, "self_attn.k_proj.weight"};
    case Part::Value:
      return {{}, "self_attn.v_proj.weight"};
    case Part::Output:
      return {{}, "self_attn.o_proj.weight"};
    case Part::FeedForwardNorm:
      return {{}, "post_attention_layernorm.weight"};
    case Part::Gate:
      return {{}, "mlp.gate_proj.weight"};
    case Part::Up:
      return {{}, "mlp.up_proj.weight"};
    case Part::Down:
      return {{}, "mlp.down_proj.weight"};
    case Part::QueryBias:
      return {{}, "self_attn.q_proj.bias"};
    case Part::KeyBias:
      return {{}, "self_attn.k_proj.bias"};
    case Part::ValueBias:
      return {{}, "self_attn.v_proj.bias"};
  }
  return {};
}

// Typed reads from config.json; null counts as absent.
class ConfigReader {
 public:
  explicit ConfigReader(const boost::json::object& object) : object_(object) {}

  const boost::json::value* find(std::string_view key) const {
    const auto* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  Result<int> count(std::string_view key, std::optional<int> fallback = std::nullopt) const {
    const auto* value = find(key);
    if (value == nullptr && fallback) {
      return *fallback;
    }
    const auto* number = value == nullptr ? nullptr : value->if_int64();
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<int>::max()) {
      return data_loss("{}: expected a whole number", key);
    }
    return static_cast<int>(*number);
  }
  Result<float> number(std::string_view key, std::optional<float> fallback = std::nullopt) const {
    const auto* value = find(key);
    if (value == nullptr && fallback) {
      return *fallback;
    }
    if (value == nullptr || !value->is_number()) {
      return data_loss("{}: expected a number", key);
    }
    return static_cast<float>(value->to_number<double>());
  }
  Result<bool> flag(std::string_view key, bool fallback) const {
    const auto* value = find(key);
    if (value == nullptr) {
      return fallback;
    }
    if (!value->is_bool()) {
      return data_loss("{}: expected true or false", key);
    }
    return value->get_bool();
  }
  std::string_view text(std::string_view key, std::string_view fallback = {}) const {
    const auto* value = find(key);
    return value == nullptr || !value->is_string() ? fallback : std::string_view(value->get_string());
  }

 private:
  const boost::json::object& object_;
};

Result<RopeSettings> rope_settings(const ConfigReader& config, float theta) {
  RopeSettings settings{.theta = theta};
  // Newer files have everything in rope_parameters; older ones the scaling in rope_scaling.
  const auto* scaling = config.find("rope_parameters");
  if (scaling == nullptr) {
    scaling = config.find("rope_scaling");
  }
  if (scaling == nullptr) {
    return settings;
  }
  if (!scaling->is_object()) {
    return data_loss("rope_scaling: expected an object");
  }
  const ConfigReader reader(scaling->get_object());
  LLMD_TRY(settings.theta, reader.number("rope_theta", theta));
  const std::string_view type = reader.text("rope_type", reader.text("type", "default"));
  if (type == "default") {
    return settings;
  }
  LLMD_TRY(settings.factor, reader.number("factor"));
  if (type == "linear") {
    settings.scaling = RopeScaling::Linear;
  } else if (type == "llama3") {
    settings.scaling = RopeScaling::Llama3;
    LLMD_TRY(settings.low_frequency, reader.number("low_freq_factor", 1));
    LLMD_TRY(settings.high_frequency, reader.number("high_freq_factor", 4));
    LLMD_TRY(settings.original_positions, reader.number("original_max_position_embeddings", 8192));
  } else {
    return unimplemented("rope_scaling: type {} is not supported", type)
        .hint("default, linear and llama3 are");
  }
  if (!(settings.factor > 0) || !(settings.low_frequency > 0) ||
      !(settings.high_frequency > settings.low_frequency)) {
    return data_loss("rope_scaling: factors must be positive, and high_freq_factor above low_freq_factor");
  }
  return settings;
}

class SafetensorsSource final : public ModelSource {
 public:
  explicit SafetensorsSource(SafetensorsSet tensors) : tensors_(std::move(tensors)) {}

  Result<void> read(const boost::json::object& object, std::string name);

  const ModelConfig& config() const override { return config_; }
  const std::vector<float>& frequencies() const override { return frequencies_; }
  bool interleaved_rotation() const override { return false; }
  const TensorView* find(Part part, int layer) const override {
    return tensors_.tensor(name_of(part, layer));
  }
  std::string name_of(Part part, int layer) const override {
    const Names names = names_of(part);
    return names.layer.empty() ? std::string(names.whole)
                               : fmt::format("model.layers.{}.{}", layer, names.layer);
  }

 private:
  SafetensorsSet tensors_;
  ModelConfig config_;
  std::vector<float> frequencies_;
};

Result<void> refuse_unknown(const ConfigReader& config) {
  const std::string_view type = config.text("model_type");
  if (type != "llama" && type != "qwen2") {
    return unimplemented("model_type: {} is not supported", type).hint("llama and qwen2 are");
  }
  const std::string_view activation = config.text("hidden_act", "silu");
  if (activation != "silu") {
    return unimplemented("hidden_act: {} is not supported", activation);
  }
  if (config.find("quantization_config") != nullptr) {
    return unimplemented("quantization_config: quantised safetensors are not supported")
        .hint("use the F32, F16 or BF16 checkpoint, or a GGUF file");
  }
  LLMD_TRY(const bool window, config.flag("use_sliding_window", false));
  if (window) {
    return unimplemented("use_sliding_window: sliding windows are not supported");
  }
  LLMD_TRY(const bool mlp_bias, config.flag("mlp_bias", false));
  if (mlp_bias) {
    return unimplemented("mlp_bias: not supported");
  }
  LLMD_TRY(const bool attention_bias, config.flag("attention_bias", false));
  if (attention_bias && type == "llama") {
    return unimplemented("attention_bias: not supported in llama models");
  }
  return {};
}

Result<void> SafetensorsSource::read(const boost::json::object& object, std::string name) {
  const ConfigReader config(object);
  LLMD_TRY_VOID(refuse_unknown(config));
  config_.family = config.text("model_type") == "qwen2" ? Family::Qwen2 : Family::Llama;
  config_.name = std::move(name);
  LLMD_TRY(config_.vocab_size, config.count("vocab_size"));
  LLMD_TRY(config_.hidden_size, config.count("hidden_size"));
  LLMD_TRY(config_.layers, config.count("num_hidden_layers"));
  LLMD_TRY(config_.heads, config.count("num_attention_heads"));
  LLMD_TRY(config_.kv_heads, config.count("num_key_value_heads", config_.heads));
  LLMD_TRY(config_.head_dim,
           config.count("head_dim", config_.heads > 0 ? config_.hidden_size / config_.heads : 0));
  LLMD_TRY(config_.feed_forward, config.count("intermediate_size"));
  LLMD_TRY(config_.max_positions, config.count("max_position_embeddings", 2048));
  LLMD_TRY(config_.norm_epsilon, config.number("rms_norm_eps", 1e-6F));
  LLMD_TRY(config_.tied_embeddings, config.flag("tie_word_embeddings", false));
  LLMD_TRY(const float theta, config.number("rope_theta", 10000));
  LLMD_TRY(const auto rope, rope_settings(config, theta));
  config_.rope_theta = rope.theta;
  LLMD_TRY_VOID(check(config_));
  frequencies_ = rope_frequencies(rope, config_.head_dim);
  if (!config_.tied_embeddings && find(Part::Head, 0) == nullptr) {
    log::warning("the checkpoint has no lm_head.weight; using the embedding", {{"model", config_.name}});
    config_.tied_embeddings = true;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<ModelSource>> open_safetensors_source(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  LLMD_TRY(const auto text, read_file(path, kMaxConfig));
  boost::system::error_code error;
  const auto config = boost::json::parse(text, error);
  if (error || !config.is_object()) {
    return data_loss("{}: {}", path.string(), error ? error.message() : "expected a JSON object");
  }
  LLMD_TRY(auto tensors, SafetensorsSet::open(folder));
  auto source = std::make_unique<SafetensorsSource>(std::move(tensors));
  if (auto done = source->read(config.get_object(), folder.filename().string()); !done) {
    return std::unexpected(std::move(done).error().within(path.string()));
  }
  return source;
}

}  // namespace llmd::engine
