#include "engine/model/random_model.h"

#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "engine/kernels/quant_block.h"

namespace llmd::engine::testing {
namespace {

using modelfile::TensorType;

RandomTensor random_tensor(std::mt19937& random, std::vector<std::int64_t> shape, double mean,
                           double deviation) {
  std::int64_t count = 1;
  for (const auto extent : shape) {
    count *= extent;
  }
  std::normal_distribution<double> normal(mean, deviation);
  RandomTensor tensor{std::move(shape), std::vector<float>(static_cast<std::size_t>(count))};
  for (float& value : tensor.values) {
    value = static_cast<float>(normal(random));
  }
  return tensor;
}

template <typename T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Quantises one row in a simple way that uses the whole range of codes.
std::string encode_row(TensorType type, std::span<const float> row, std::mt19937& random) {
  std::string bytes;
  if (!is_quantised(type)) {
    for (const float value : row) {
      switch (type) {
        case TensorType::F16:
          append(bytes, float_to_half(value));
          break;
        case TensorType::BF16:
          append(bytes, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16U));
          break;
        default:
          append(bytes, value);
      }
    }
    return bytes;
  }
  // Random codes and scales: any bytes are a block as long as its halves are sane numbers.
  const auto size = static_cast<std::size_t>(modelfile::block_bytes(type));
  const auto elements = static_cast<std::size_t>(modelfile::block_elements(type));
  const std::map<TensorType, double> largest = {
      {TensorType::Q4_0, 8},         {TensorType::Q4_1, 15},        {TensorType::Q5_0, 16},
      {TensorType::Q5_1, 31},        {TensorType::Q8_0, 128},       {TensorType::Q4_K, 63.0 * 15},
      {TensorType::Q5_K, 63.0 * 31}, {TensorType::Q6_K, 128.0 * 32}};
  const double top = 2.0 / std::sqrt(static_cast<double>(row.size()));
  for (std::size_t block = 0; block < row.size() / elements; ++block) {
    std::string one;
    for (std::size_t i = 0; i < size; ++i) {
      one.push_back(static_cast<char>(random()));
    }
    const double scale = top / largest.at(type) * (0.5 + 0.5 * static_cast<double>(random() % 1000) / 1000);
    const std::uint16_t d = float_to_half(static_cast<float>(scale));
    const bool with_min = type == TensorType::Q4_1 || type == TensorType::Q5_1;
    const bool k45 = type == TensorType::Q4_K || type == TensorType::Q5_K;
    std::memcpy(one.data() + (type == TensorType::Q6_K ? 208 : 0), &d, sizeof d);
    if (with_min || k45) {
      const std::uint16_t m = float_to_half(static_cast<float>(with_min ? -top / 2 : top / 126));
      std::memcpy(one.data() + 2, &m, sizeof m);
    }
    bytes += one;
  }
  return bytes;
}

// The tensor's bytes; its values become what the bytes mean.
std::string encode(RandomTensor& tensor, TensorType type, std::mt19937& random) {
  std::string bytes;
  const auto columns = static_cast<std::size_t>(tensor.shape.back());
  for (std::size_t at = 0; at < tensor.values.size(); at += columns) {
    const auto row = std::span(tensor.values).subspan(at, columns);
    const std::string encoded = encode_row(type, row, random);
    dequantise_row(type, reinterpret_cast<const std::byte*>(encoded.data()), row);
    bytes += encoded;
  }
  return bytes;
}

std::string config_json(const ModelShape& shape) {
  std::string json = fmt::format(
      R"({{"model_type": "{}", "vocab_size": {}, "hidden_size": {}, "num_hidden_layers": {}, "num_attention_heads": {},
"num_key_value_heads": {}, "head_dim": {}, "intermediate_size": {}, "max_position_embeddings": 512,
"rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": {}, "hidden_act": "silu")",
      shape.family == Family::Qwen2 ? "qwen2" : "llama", shape.vocab, shape.hidden, shape.layers, shape.heads,
      shape.kv_heads, shape.head_dim, shape.feed_forward, shape.tied);
  if (!shape.rope_scaling.empty()) {
    json += ", \"rope_scaling\": " + shape.rope_scaling;
  }
  return json + "}";
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// --- GGUF ---

void append_string(std::string& bytes, std::string_view text) {
  append(bytes, std::uint64_t{text.size()});
  bytes += text;
}
void append_count(std::string& bytes, std::string_view key, std::uint32_t value) {
  append_string(bytes, key);
  append(bytes, std::uint32_t{4});
  append(bytes, value);
}

std::string gguf_name(std::string name) {
  const std::pair<std::string_view, std::string_view> renames[] = {{"model.embed_tokens", "token_embd"},
                                                                   {"model.norm", "output_norm"},
                                                                   {"lm_head", "output"},
                                                                   {"model.layers.", "blk."},
                                                                   {"self_attn.q_proj", "attn_q"},
                                                                   {"self_attn.k_proj", "attn_k"},
                                                                   {"self_attn.v_proj", "attn_v"},
                                                                   {"self_attn.o_proj", "attn_output"},
                                                                   {"input_layernorm", "attn_norm"},
                                                                   {"post_attention_layernorm", "ffn_norm"},
                                                                   {"mlp.gate_proj", "ffn_gate"},
                                                                   {"mlp.up_proj", "ffn_up"},
                                                                   {"mlp.down_proj", "ffn_down"}};
  for (const auto& [from, to] : renames) {
    if (const auto at = name.find(from); at != std::string::npos) {
      name.replace(at, from.size(), to);
    }
  }
  return name;
}

// Rows of each head from half-split order to pairs side by side.
std::string interleave_rows(const std::string& bytes, const ModelShape& shape, std::size_t rows) {
  const std::size_t row_bytes = bytes.size() / rows;
  const auto dim = static_cast<std::size_t>(shape.head_dim);
  std::string out(bytes.size(), '\0');
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t head = row / dim * dim;
    const std::size_t i = row % dim;
    const std::size_t to = head + (i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1);
    std::memcpy(out.data() + to * row_bytes, bytes.data() + row * row_bytes, row_bytes);
  }
  return out;
}

}  // namespace

RandomModel make_random_model(const ModelShape& shape, unsigned seed) {
  std::mt19937 random(seed);
  RandomModel model{shape, {}};
  const auto matrix = [&](const std::string& name, int rows, int columns) {
    model.tensors[name] = random_tensor(random, {rows, columns}, 0, 1 / std::sqrt(columns));
  };
  const auto vector = [&](const std::string& name, int count, double mean, double deviation) {
    model.tensors[name] = random_tensor(random, {count}, mean, deviation);
  };
  const int queries = shape.heads * shape.head_dim;
  const int keys = shape.kv_heads * shape.head_dim;
  model.tensors["model.embed_tokens.weight"] = random_tensor(random, {shape.vocab, shape.hidden}, 0, 1);
  for (int i = 0; i < shape.layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    vector(layer + "input_layernorm.weight", shape.hidden, 1, 0.2);
    vector(layer + "post_attention_layernorm.weight", shape.hidden, 1, 0.2);
    matrix(layer + "self_attn.q_proj.weight", queries, shape.hidden);
    matrix(layer + "self_attn.k_proj.weight", keys, shape.hidden);
    matrix(layer + "self_attn.v_proj.weight", keys, shape.hidden);
    matrix(layer + "self_attn.o_proj.weight", shape.hidden, queries);
    matrix(layer + "mlp.gate_proj.weight", shape.feed_forward, shape.hidden);
    matrix(layer + "mlp.up_proj.weight", shape.feed_forward, shape.hidden);
    matrix(layer + "mlp.down_proj.weight", shape.hidden, shape.feed_forward);
    if (shape.family == Family::Qwen2) {
      vector(layer + "self_attn.q_proj.bias", queries, 0, 0.5);
      vector(layer + "self_attn.k_proj.bias", keys, 0, 0.5);
      vector(layer + "self_attn.v_proj.bias", keys, 0, 0.5);
    }
  }
  vector("model.norm.weight", shape.hidden, 1, 0.2);
  if (!shape.tied) {
    matrix("lm_head.weight", shape.vocab, shape.hidden);
  }
  return model;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "llmd-model-XXXXXX").string();
  path_ = mkdtemp(name.data());
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

static void write_encoded(const std::filesystem::path& file, std::map<std::string, RandomTensor>& tensors,
                          TensorType type, std::mt19937& random) {
  std::string header = "{\"__metadata__\": {\"format\": \"pt\"}";
  std::string data;
  for (auto& [name, tensor] : tensors) {
    const std::size_t begin = data.size();
    data += encode(tensor, type, random);
    header += fmt::format(R"(, "{}": {{"dtype": "{}", "shape": [{}], "data_offsets": [{}, {}]}})", name,
                          modelfile::to_string(type), fmt::join(tensor.shape, ", "), begin, data.size());
  }
  header += "}";
  std::string bytes;
  append_string(bytes, header);
  write_text(file, bytes + data);
}

void write_safetensors_file(const std::filesystem::path& file,
                            const std::map<std::string, RandomTensor>& tensors, TensorType type) {
  std::mt19937 random(1);
  auto copy = tensors;
  write_encoded(file, copy, type, random);
}

void write_safetensors(RandomModel& model, const std::filesystem::path& folder, TensorType type, int shards) {
  std::mt19937 random(1);
  write_text(folder / "config.json", config_json(model.shape));
  if (shards == 1) {
    write_encoded(folder / "model.safetensors", model.tensors, type, random);
    return;
  }
  std::vector<std::map<std::string, RandomTensor>> parts(static_cast<std::size_t>(shards));
  std::string index = "{\"metadata\": {}, \"weight_map\": {";
  std::size_t next = 0;
  for (const auto& [name, tensor] : model.tensors) {
    index +=
        fmt::format(R"({}"{}": "model-{}.safetensors")", next == 0 ? "" : ", ", name, next % parts.size());
    parts[next++ % parts.size()][name] = tensor;
  }
  write_text(folder / "model.safetensors.index.json", index + "}}");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    write_encoded(folder / fmt::format("model-{}.safetensors", i), parts[i], type, random);
    for (auto& [name, tensor] : parts[i]) {
      model.tensors[name] = tensor;
    }
  }
}

void write_gguf(RandomModel& model, const std::filesystem::path& file, TensorType matrices) {
  std::mt19937 random(1);
  const ModelShape& shape = model.shape;
  const std::string family = shape.family == Family::Qwen2 ? "qwen2" : "llama";
  std::string bytes = "GGUF";
  append(bytes, std::uint32_t{3});
  append(bytes, std::uint64_t{model.tensors.size()});
  append(bytes, std::uint64_t{10});
  append_string(bytes, "general.architecture");
  append(bytes, std::uint32_t{8});
  append_string(bytes, family);
  append_count(bytes, family + ".block_count", static_cast<std::uint32_t>(shape.layers));
  append_count(bytes, family + ".embedding_length", static_cast<std::uint32_t>(shape.hidden));
  append_count(bytes, family + ".feed_forward_length", static_cast<std::uint32_t>(shape.feed_forward));
  append_count(bytes, family + ".attention.head_count", static_cast<std::uint32_t>(shape.heads));
  append_count(bytes, family + ".attention.head_count_kv", static_cast<std::uint32_t>(shape.kv_heads));
  append_count(bytes, family + ".attention.key_length", static_cast<std::uint32_t>(shape.head_dim));
  append_count(bytes, family + ".rope.dimension_count", static_cast<std::uint32_t>(shape.head_dim));
  append_count(bytes, family + ".context_length", 512);
  append_string(bytes, family + ".attention.layer_norm_rms_epsilon");
  append(bytes, std::uint32_t{6});
  append(bytes, 1e-5F);

  std::string data;
  for (auto& [name, tensor] : model.tensors) {
    const std::map<TensorType, std::uint32_t> numbers = {
        {TensorType::F32, 0},   {TensorType::F16, 1},   {TensorType::Q4_0, 2}, {TensorType::Q4_1, 3},
        {TensorType::Q5_0, 6},  {TensorType::Q5_1, 7},  {TensorType::Q8_0, 8}, {TensorType::Q4_K, 12},
        {TensorType::Q5_K, 13}, {TensorType::Q6_K, 14}, {TensorType::BF16, 30}};
    const bool small = tensor.shape.size() == 1 || name == "model.embed_tokens.weight";
    const TensorType type = small ? TensorType::F32 : matrices;
    std::string encoded = encode(tensor, type, random);
    if (shape.family == Family::Llama &&
        (name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos)) {
      encoded = interleave_rows(encoded, shape, static_cast<std::size_t>(tensor.shape[0]));
    }
    data.resize((data.size() + 31) / 32 * 32);
    append_string(bytes, gguf_name(name));
    append(bytes, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) {
      append(bytes, *extent);
    }
    append(bytes, numbers.at(type));
    append(bytes, std::uint64_t{data.size()});
    data += encoded;
  }
  bytes.resize((bytes.size() + 31) / 32 * 32);
  write_text(file, bytes + data);
}

}  // namespace llmd::engine::testing
