#include "llmisvc/model_shape.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "modelfile/gguf.h"

namespace llmd::llmisvc {
namespace {

constexpr double kBillion = 1e9;

struct KnownModel {
  std::string_view family;  // occurs in the name
  std::string_view size;    // one of the name's parts between dashes; empty: any
  double billions;
  long long layers;
  long long kv_heads;
  long long head_size;
  double weight_gigabytes;
  long long context;
  long long latent = 0;
  long long window = 0;  // of every other layer
};

// The first row that fits counts, so longer families stand before their beginnings.
constexpr std::array kKnown{
    KnownModel{"opt", "125m", 0.125, 12, 12, 64, 0.25, 2048},
    KnownModel{"smollm2", "135m", 0.1345, 30, 3, 64, 0.269, 8192},
    KnownModel{"qwen2.5", "0.5b", 0.49, 24, 2, 64, 1.0, 32768},
    KnownModel{"qwen2.5", "7b", 7.62, 28, 4, 128, 15.2, 32768},
    KnownModel{"qwen2.5", "72b", 72.7, 80, 8, 128, 145, 32768},
    KnownModel{"llama-3.2", "1b", 1.24, 16, 8, 64, 2.5, 131072},
    KnownModel{"llama-3.2", "3b", 3.21, 28, 8, 128, 6.4, 131072},
    KnownModel{"llama-3.1", "8b", 8.03, 32, 8, 128, 16.1, 131072},
    KnownModel{"llama-3.1", "70b", 70.6, 80, 8, 128, 141, 131072},
    KnownModel{"llama-3.3", "70b", 70.6, 80, 8, 128, 141, 131072},
    KnownModel{"llama-3.1", "405b", 406, 126, 8, 128, 812, 131072},
    KnownModel{"llama-3", "8b", 8.03, 32, 8, 128, 16.1, 8192},
    KnownModel{"llama-3", "70b", 70.6, 80, 8, 128, 141, 8192},
    KnownModel{"llama-3", "405b", 406, 126, 8, 128, 812, 131072},
    KnownModel{"llama-2", "7b", 6.74, 32, 32, 128, 13.5, 4096},
    KnownModel{"mixtral", "8x7b", 46.7, 32, 8, 128, 93.4, 32768},
    KnownModel{"mistral", "7b", 7.25, 32, 8, 128, 14.5, 32768},
    KnownModel{"qwen3-coder", "480b", 480, 62, 8, 128, 960, 262144},
    KnownModel{"qwen3", "8b", 8.19, 36, 8, 128, 16.4, 40960},
    KnownModel{"qwen3", "30b", 30.5, 48, 4, 128, 61.0, 40960},
    KnownModel{"qwen3", "32b", 32.8, 64, 8, 128, 65.6, 40960},
    KnownModel{"qwen3", "235b", 235, 94, 4, 128, 470, 40960},
    KnownModel{"gpt-oss", "20b", 20.9, 24, 8, 64, 14, 131072, 0, 128},
    KnownModel{"gpt-oss", "120b", 117, 36, 8, 64, 64, 131072, 0, 128},
    KnownModel{"deepseek-v2-lite", "", 15.7, 27, 1, 576, 31.4, 163840, 576},
    KnownModel{"deepseek-v3", "", 671, 61, 1, 576, 671, 163840, 576},
    KnownModel{"deepseek-r1", "", 671, 61, 1, 576, 671, 163840, 576},
};

// What follows the last slash, without a revision, in lower case.
std::string short_name(std::string_view uri) {
  while (uri.ends_with('/')) {
    uri.remove_suffix(1);
  }
  std::string name = to_lower(uri.substr(uri.rfind('/') + 1));
  return name.substr(0, name.find_first_of("@:"));
}

bool has_part(std::string_view name, std::string_view part) {
  return std::ranges::any_of(split(name, '-'), [&](std::string_view one) { return one == part; });
}

std::optional<double> quantisation_in(std::string_view name) {
  for (const std::string_view part : split(name, '-')) {
    if (part != "bf16" && part != "fp16") {
      if (const auto bytes = bytes_per_parameter(part)) {
        return bytes;
      }
    }
  }
  return std::nullopt;
}

// Embeddings, attention and feed-forward blocks; every expert counts.
double estimated_parameters(const json::Value& config, long long layers, long long heads, long long kv_heads,
                            long long head_size) {
  const auto at = [&](std::string_view key) {
    return static_cast<double>(json::int_at(config, key).value_or(0));
  };
  const double hidden = at("hidden_size");
  const double experts = std::max({1.0, at("num_local_experts"), at("num_experts"), at("n_routed_experts")});
  const double expert_width =
      experts > 1 && at("moe_intermediate_size") > 0 ? at("moe_intermediate_size") : at("intermediate_size");
  const double attention =
      2 * hidden * static_cast<double>(head_size) * static_cast<double>(heads + kv_heads);
  const double embeddings =
      at("vocab_size") * hidden * (json::bool_at(config, "tie_word_embeddings").value_or(false) ? 1 : 2);
  return embeddings + static_cast<double>(layers) * (attention + 3 * hidden * expert_width * experts);
}

double stored_bytes_per_parameter(const json::Value& config) {
  for (const char* key :
       {"quantization_config.quant_method", "quantization_config.quant_algo", "torch_dtype", "dtype"}) {
    if (const auto format = json::string_at(config, key)) {
      if (const auto bytes = bytes_per_parameter(to_lower(*format))) {
        return *bytes;
      }
    }
  }
  const auto bits = json::int_at(config, "quantization_config.bits");
  return bits && *bits > 0 ? static_cast<double>(*bits) / 8 * 1.1 : 2;
}

long long window_layers_of(const json::Value& config, long long layers) {
  const auto* types = json::array_at(config, "layer_types");
  if (types == nullptr) {
    return json::bool_at(config, "use_sliding_window").value_or(true) ? layers : 0;
  }
  return std::ranges::count(*types, json::Value("sliding_attention"));
}

}  // namespace

std::optional<double> bytes_per_parameter(std::string_view format) {
  static constexpr std::array<std::pair<std::string_view, double>, 20> kFormats{{
      {"float32", 4},  {"fp32", 4},     {"bfloat16", 2}, {"bf16", 2},    {"float16", 2},
      {"half", 2},     {"fp16", 2},     {"fp8", 1},      {"int8", 1},    {"w8a8", 1},
      {"int4", 0.55},  {"w4a16", 0.55}, {"awq", 0.55},   {"gptq", 0.55}, {"mxfp4", 0.55},
      {"nvfp4", 0.55}, {"fp4", 0.55},   {"modelopt", 1}, {"4bit", 0.55}, {"8bit", 1},
  }};
  const auto* found = std::ranges::find(kFormats, format, &std::pair<std::string_view, double>::first);
  return found == kFormats.end() ? std::nullopt : std::optional(found->second);
}

std::optional<ModelShape> well_known_model(std::string_view uri) {
  const std::string name = short_name(uri);
  for (const KnownModel& known : kKnown) {
    if (name.find(known.family) == std::string::npos ||
        (!known.size.empty() && !has_part(name, known.size))) {
      continue;
    }
    ModelShape shape{.name = name,
                     .parameters = known.billions * kBillion,
                     .weight_bytes = known.weight_gigabytes * kBillion,
                     .layers = known.layers,
                     .kv_heads = known.kv_heads,
                     .head_size = known.head_size,
                     .latent_size = known.latent,
                     .window_layers = known.window > 0 ? known.layers / 2 : 0,
                     .window = known.window,
                     .context = known.context};
    if (const auto bytes = quantisation_in(name)) {
      shape.weight_bytes = std::min(shape.weight_bytes, shape.parameters * *bytes);
    }
    return shape;
  }
  return std::nullopt;
}

Result<ModelShape> shape_of_config(const json::Value& whole, std::string name, double weight_bytes) {
  const auto* text = json::find(whole, "text_config");  // models that also see keep their language half there
  const json::Value& config = text != nullptr && text->is_object() ? *text : whole;
  const auto at = [&](std::string_view key) { return json::int_at(config, key).value_or(0); };
  const long long heads = at("num_attention_heads");
  ModelShape shape{.name = std::move(name),
                   .layers = at("num_hidden_layers"),
                   .kv_heads = at("num_key_value_heads") > 0 ? at("num_key_value_heads") : heads,
                   .head_size = at("head_dim"),
                   .context = at("max_position_embeddings")};
  if (shape.head_size == 0 && heads > 0) {
    shape.head_size = at("hidden_size") / heads;
  }
  if (const long long rank = at("kv_lora_rank"); rank > 0) {
    shape.latent_size = rank + at("qk_rope_head_dim");
  }
  const long long window = at("sliding_window");
  if (window > 0) {
    shape.window = window;
    shape.window_layers = window_layers_of(config, shape.layers);
  }
  if (shape.layers <= 0 || shape.head_size <= 0 || shape.kv_heads <= 0) {
    return invalid_argument("{}: config.json does not give layers and attention heads", shape.name)
        .hint("needed: num_hidden_layers, num_attention_heads, and head_dim or hidden_size");
  }
  shape.parameters = estimated_parameters(config, shape.layers, heads, shape.kv_heads, shape.head_size);
  shape.weight_bytes =
      weight_bytes > 0 ? weight_bytes : shape.parameters * stored_bytes_per_parameter(config);
  return shape;
}

Result<ModelShape> shape_of_gguf(const modelfile::GgufFile& file) {
  LLMD_TRY(const auto family, file.string("general.architecture"));
  const auto at = [&](std::string_view key) -> long long {
    return file.integer(fmt::format("{}.{}", family, key)).value_or(0);
  };
  const long long heads = at("attention.head_count");
  ModelShape shape{.name = std::string(file.string("general.name").value_or(file.name())),
                   .layers = at("block_count"),
                   .kv_heads = at("attention.head_count_kv") > 0 ? at("attention.head_count_kv") : heads,
                   .head_size = at("attention.key_length"),
                   .window = at("attention.sliding_window"),
                   .context = at("context_length")};
  if (shape.head_size == 0 && heads > 0) {
    shape.head_size = at("embedding_length") / heads;
  }
  shape.window_layers = shape.window > 0 ? shape.layers : 0;
  if (shape.layers <= 0 || shape.head_size <= 0 || shape.kv_heads <= 0) {
    return invalid_argument("{}: the metadata does not give layers and attention heads", shape.name);
  }
  for (const auto& [name, tensor] : file.tensors()) {
    double elements = 1;
    for (const auto length : tensor.shape) {
      elements *= static_cast<double>(length);
    }
    shape.parameters += elements;
    shape.weight_bytes += static_cast<double>(tensor.bytes.size());
  }
  return shape;
}

}  // namespace llmd::llmisvc
