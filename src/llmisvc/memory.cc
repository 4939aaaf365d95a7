#include "llmisvc/memory.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kMib = 1024.0 * 1024;
constexpr double kActivations = 3.6 * kGib;
constexpr long long kBlock = 16;  // tokens

struct KnownType {
  std::string_view name;
  double mebibytes;
};
constexpr std::array kTypes{
    KnownType{"L4", 23034},      KnownType{"A10G", 23028},    KnownType{"L40S", 46068},
    KnownType{"A100-40", 40960}, KnownType{"A100", 81920},    KnownType{"A100-80", 81920},
    KnownType{"H100", 81559},    KnownType{"H200", 143771},   KnownType{"B200", 183359},
    KnownType{"GB200", 189471},  KnownType{"B300", 274650},   KnownType{"MI300X", 196592},
    KnownType{"MI325X", 262128}, KnownType{"MI355X", 294896}, KnownType{"Gaudi3", 131072},
    KnownType{"B60", 24480},     KnownType{"TPU-v5e", 16384}, KnownType{"TPU-v6e", 32768},
    KnownType{"TPU-v7", 196608},
};

std::optional<double> size_named(std::string_view text) {
  const std::string lower = to_lower(text);
  for (const auto& [unit, bytes] :
       {std::pair<std::string_view, double>{"gib", kGib}, {"gb", 1e9}, {"gi", kGib}}) {
    if (lower.ends_with(unit)) {
      const auto number = parse_number(std::string_view(lower).substr(0, lower.size() - unit.size()));
      return number && *number > 0 ? std::optional(*number * bytes) : std::nullopt;
    }
  }
  return std::nullopt;
}

// The arguments of container `main`, "--flag=value" taken apart.
std::vector<std::string> arguments_of(const Workload& workload) {
  std::vector<std::string> words;
  const json::Value pod(workload.pod.value_or(json::Object()));
  const auto* containers = json::array_at(pod, "containers");
  for (const json::Value& container : containers != nullptr ? *containers : json::Array()) {
    if (json::string_at(container, "name").value_or("") != "main") {
      continue;
    }
    for (const char* key : {"command", "args"}) {
      const auto* list = json::array_at(container, key);
      for (const json::Value& argument : list != nullptr ? *list : json::Array()) {
        const std::string_view text = text_view(argument);
        const std::size_t equals = text.starts_with("--") ? text.find('=') : std::string_view::npos;
        words.emplace_back(text.substr(0, equals));
        if (equals != std::string_view::npos) {
          words.emplace_back(text.substr(equals + 1));
        }
      }
    }
  }
  return words;
}

template <std::size_t N>
std::optional<std::string> last_value(const std::vector<std::string>& words,
                                      const std::array<std::string_view, N>& flags) {
  std::optional<std::string> value;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (std::ranges::find(flags, words[i]) != flags.end()) {
      value = words[i + 1];
    }
  }
  return value;
}

// 32768, 32k, 32K (1024) as vLLM reads --max-model-len.
std::optional<long long> length_of(std::string_view text) {
  if (text.ends_with('k') || text.ends_with('K')) {
    const auto number = parse_integer(text.substr(0, text.size() - 1));
    return number ? std::optional(*number * (text.ends_with('K') ? 1024 : 1000)) : std::nullopt;
  }
  return parse_integer(text);
}

// Both in one accelerator.
double kv_bytes(const ModelShape& shape, const Parallelism& p, double bytes, double tokens) {
  const double stages = static_cast<double>(std::max(1LL, p.pipeline.value_or(1)));
  const double tensor = static_cast<double>(std::max(1LL, p.tensor.value_or(1)));
  const double per_layer = shape.latent_size > 0
                               ? static_cast<double>(shape.latent_size) * bytes
                               : 2 * std::max(1.0, static_cast<double>(shape.kv_heads) / tensor) *
                                     static_cast<double>(shape.head_size) * bytes;
  const double growing = static_cast<double>(shape.layers - shape.window_layers);
  const double windowed = static_cast<double>(shape.window_layers);
  const double kept = shape.window > 0 ? std::min(tokens, static_cast<double>(shape.window)) : 0;
  return per_layer * (growing * tokens + windowed * kept) / stages;
}

double mean_request(const Traffic& traffic) {
  return std::max(1.0, traffic.input_tokens * (1 - traffic.shared_prefix) + traffic.output_tokens);
}

}  // namespace

Result<AcceleratorType> accelerator_type(std::string_view name) {
  if (const auto size = size_named(name)) {
    return AcceleratorType{.name = std::string(name), .bytes = *size};
  }
  std::vector<std::string_view> known;
  std::string all;
  for (const KnownType& type : kTypes) {
    if (equals_ignoring_case(type.name, name)) {
      return AcceleratorType{.name = std::string(type.name), .bytes = type.mebibytes * kMib};
    }
    known.push_back(type.name);
    all += (all.empty() ? "" : ", ") + std::string(type.name);
  }
  const std::string near = did_you_mean(name, known);
  return invalid_argument("unknown GPU type '{}'", name)
      .hint(near.empty() ? "known: " + all + "; or write its memory: 80GB" : near);
}

EngineMemory engine_memory(const Workload& workload) {
  const auto words = arguments_of(workload);
  EngineMemory memory;
  static constexpr std::array<std::string_view, 2> kShare{"--gpu-memory-utilization",
                                                          "--mem-fraction-static"};
  static constexpr std::array<std::string_view, 2> kLength{"--max-model-len", "--context-length"};
  static constexpr std::array<std::string_view, 1> kCache{"--kv-cache-dtype"};
  static constexpr std::array<std::string_view, 2> kWeights{"--quantization", "-q"};
  if (const auto share = last_value(words, kShare)) {
    memory.utilization = std::clamp(parse_number(*share).value_or(0.9), 0.01, 1.0);
  }
  if (const auto length = last_value(words, kLength)) {
    memory.max_length = length_of(*length);
  }
  if (const auto format = last_value(words, kCache); format && to_lower(*format).starts_with("fp8")) {
    memory.kv_bytes = 1;
  }
  if (const auto format = last_value(words, kWeights)) {
    memory.weight_bytes = bytes_per_parameter(to_lower(*format));
  }
  return memory;
}

MemoryNeed memory_need(const ModelShape& shape, const Parallelism& parallelism, const EngineMemory& engine,
                       const Traffic& traffic) {
  const double shards = static_cast<double>(std::max(1LL, parallelism.tensor.value_or(1)) *
                                            std::max(1LL, parallelism.pipeline.value_or(1)));
  double weights = shape.weight_bytes;
  if (engine.weight_bytes) {
    weights = std::min(weights, shape.parameters * *engine.weight_bytes);
  }
  MemoryNeed need{.weights = weights / shards,
                  .activations = kActivations,
                  .kv_per_token = kv_bytes(shape, parallelism, engine.kv_bytes, 1),
                  .length = engine.max_length.value_or(shape.context)};
  if (shape.window_layers > 0 && shape.window_layers < shape.layers) {
    // Over long sequences the windowed layers cost next to nothing.
    ModelShape growing = shape;
    growing.layers -= shape.window_layers;
    growing.window_layers = 0;
    need.kv_per_token = kv_bytes(growing, parallelism, engine.kv_bytes, 1);
  }
  const double tokens = need.length > 0 ? static_cast<double>(need.length) : mean_request(traffic);
  need.one_sequence = kv_bytes(shape, parallelism, engine.kv_bytes, tokens);
  need.at_least = (need.weights + need.activations + need.one_sequence) / engine.utilization;
  return need;
}

MemoryFit memory_fit(const MemoryNeed& need, const AcceleratorType& type, const Parallelism& parallelism,
                     const EngineMemory& engine, const Traffic& traffic) {
  MemoryFit fit{.for_cache = type.bytes * engine.utilization - need.weights - need.activations};
  fit.fits = fit.for_cache >= need.one_sequence;
  if (fit.for_cache > 0 && need.kv_per_token > 0) {
    const auto tokens = static_cast<long long>(std::floor(fit.for_cache / need.kv_per_token));
    fit.kv_tokens = tokens / kBlock * kBlock * std::max(1LL, parallelism.data.value_or(1));
  }
  fit.requests = static_cast<long long>(static_cast<double>(fit.kv_tokens) / mean_request(traffic));
  return fit;
}

std::string memory_advice(const ModelShape& shape, const Parallelism& parallelism, const EngineMemory& engine,
                          const AcceleratorType& type) {
  std::vector<std::string> ways;
  for (long long tensor = std::max(1LL, parallelism.tensor.value_or(1)) * 2; tensor <= 16; tensor *= 2) {
    Parallelism larger = parallelism;
    larger.tensor = tensor;
    if (memory_fit(memory_need(shape, larger, engine), type, larger, engine).fits) {
      ways.push_back(fmt::format("parallelism.tensor: {}", tensor));
      break;
    }
  }
  const MemoryNeed need = memory_need(shape, parallelism, engine);
  const MemoryFit fit = memory_fit(need, type, parallelism, engine);
  if (fit.for_cache > 0 && fit.kv_tokens >= 1024) {
    ways.push_back(fmt::format("--max-model-len {}", fit.kv_tokens / 1024 * 1024));
  }
  EngineMemory eight_bits = engine;
  eight_bits.weight_bytes = 1;
  if (engine.weight_bytes.value_or(2) > 1 &&
      memory_fit(memory_need(shape, parallelism, eight_bits), type, parallelism, eight_bits).fits) {
    ways.emplace_back("weights in FP8");
  }
  return ways.empty() ? "spread the model over more GPUs" : join(ways, ", or ");
}

std::string gib(double bytes) {
  return fmt::format("{:.1f} GiB", bytes / kGib);
}

}  // namespace llmd::llmisvc
