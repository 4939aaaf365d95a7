#include "engine/model/lora.h"

#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "engine/kernels/quant_block.h"
#include "modelfile/safetensors.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;
using modelfile::TensorView;

constexpr std::size_t kMaxConfig = std::size_t{1} << 20;
constexpr std::int64_t kMaxRank = 1024;
constexpr std::string_view kTargetNames[kLoraTargets] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

struct AdapterConfig {
  double alpha = 0;
  bool square_root = false;  // scale alpha / sqrt(rank) instead of alpha / rank
};

bool present(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) {
    return false;
  }
  const bool empty = (value->is_object() && value->get_object().empty()) ||
                     (value->is_array() && value->get_array().empty()) ||
                     (value->is_bool() && !value->get_bool());
  return !empty;
}

Result<AdapterConfig> parse_config(std::string_view text) {
  boost::system::error_code error;
  const auto value = boost::json::parse(text, error);
  if (error || !value.is_object()) {
    return data_loss("{}", error ? error.message() : "expected a JSON object");
  }
  const auto& object = value.get_object();
  for (const std::string_view key : {"use_dora", "modules_to_save", "alpha_pattern", "layer_replication"}) {
    if (present(object, key)) {
      return unimplemented("{}: not supported", key);
    }
  }
  if (const auto* bias = object.if_contains("bias"); bias != nullptr && *bias != "none") {
    return unimplemented("bias: only none is supported");
  }
  const auto* alpha = object.if_contains("lora_alpha");
  if (alpha == nullptr || !alpha->is_number()) {
    return data_loss("lora_alpha: expected a number");
  }
  return AdapterConfig{alpha->to_number<double>(), present(object, "use_rslora")};
}

// Where "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" belongs.
struct Place {
  int layer = 0;
  LoraTarget target = LoraTarget::Query;
  bool up = false;  // lora_B
};
std::optional<Place> place_of(std::string_view name) {
  constexpr std::string_view kPrefix = "base_model.model.model.layers.";
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  const auto dot = name.find('.');
  const auto layer = parse_integer(name.substr(0, dot));
  if (!layer || dot == std::string_view::npos || *layer < 0 || *layer >= 1024) {
    return std::nullopt;
  }
  name.remove_prefix(dot + 1);
  for (int i = 0; i < kLoraTargets; ++i) {
    if (!name.starts_with(kTargetNames[i])) {
      continue;
    }
    const std::string_view rest = name.substr(kTargetNames[i].size());
    const bool down = rest == ".lora_A.weight" || rest == ".lora_A.default.weight";
    const bool up = rest == ".lora_B.weight" || rest == ".lora_B.default.weight";
    if (down || up) {
      return Place{static_cast<int>(*layer), static_cast<LoraTarget>(i), up};
    }
  }
  return std::nullopt;
}

struct Extent {
  int rows;
  int columns;
};
Extent extent_of(LoraTarget target, const ModelConfig& config) {
  const int queries = config.heads * config.head_dim;
  const int keys = config.kv_heads * config.head_dim;
  switch (target) {
    case LoraTarget::Query:
      return {queries, config.hidden_size};
    case LoraTarget::Key:
    case LoraTarget::Value:
      return {keys, config.hidden_size};
    case LoraTarget::Output:
      return {config.hidden_size, queries};
    case LoraTarget::Gate:
    case LoraTarget::Up:
      return {config.feed_forward, config.hidden_size};
    case LoraTarget::Down:
      break;
  }
  return {config.hidden_size, config.feed_forward};
}

void pack_floats(PackedMatrix& matrix, const TensorView& from, float scale) {
  std::vector<float> values(static_cast<std::size_t>(matrix.rows) * static_cast<std::size_t>(matrix.columns));
  dequantise_row(from.type, from.bytes.data(), values);
  for (float& value : values) {
    value *= scale;
  }
  for (int tile = 0; tile < matrix.tiles(); ++tile) {
    const std::byte* rows[kTileRows] = {};
    for (int r = 0; r < matrix.rows_in(tile); ++r) {
      const auto row =
          static_cast<std::size_t>(tile * kTileRows + r) * static_cast<std::size_t>(matrix.columns);
      rows[r] = reinterpret_cast<const std::byte*>(values.data() + row);
    }
    pack_tile(matrix, tile, rows);
  }
}

// The two tensors of one matrix.
struct Halves {
  const TensorView* down = nullptr;
  const TensorView* up = nullptr;
};
using Halved = std::map<std::pair<int, LoraTarget>, Halves>;

Result<Halved> sort_tensors(const modelfile::TensorMap& tensors, const ModelConfig& config) {
  if (tensors.empty()) {
    return data_loss("the adapter has no tensors");
  }
  Halved halved;
  for (const auto& [name, view] : tensors) {
    const auto place = place_of(name);
    if (!place) {
      return unimplemented("tensor {}: adapters change q, k, v, o, gate, up and down projections only", name);
    }
    if (place->layer >= config.layers) {
      return data_loss("tensor {}: the model has {} layers", name, config.layers);
    }
    auto& halves = halved[{place->layer, place->target}];
    (place->up ? halves.up : halves.down) = &view;
  }
  return halved;
}

Result<int> checked_rank(const Halves& halves, const Extent& extent) {
  if (halves.down == nullptr || halves.up == nullptr) {
    return data_loss("lora_A or lora_B is missing");
  }
  if (halves.down->shape.size() != 2 || halves.up->shape.size() != 2) {
    return data_loss("expected matrices");
  }
  const std::int64_t rank = halves.down->shape[0];
  if (rank < 1 || rank > kMaxRank || halves.down->shape[1] != extent.columns ||
      halves.up->shape[0] != extent.rows || halves.up->shape[1] != rank) {
    return data_loss("A [{}] and B [{}] do not fit a matrix of {} x {}", fmt::join(halves.down->shape, ", "),
                     fmt::join(halves.up->shape, ", "), extent.rows, extent.columns)
        .hint("the adapter was made for another model");
  }
  return static_cast<int>(rank);
}

}  // namespace

class LoraLoader {
 public:
  static Result<std::unique_ptr<Lora>> load(const Halved& halved, const AdapterConfig& adapter,
                                            const ModelConfig& config) {
    auto lora = std::make_unique<Lora>();
    lora->pairs_.resize(static_cast<std::size_t>(config.layers) * kLoraTargets);
    std::size_t total = 0;
    for (const auto& [key, halves] : halved) {
      const Extent extent = extent_of(key.second, config);
      auto rank = checked_rank(halves, extent);
      if (!rank) {
        const auto name = kTargetNames[static_cast<std::size_t>(key.second)];
        return std::move(rank).error().within(fmt::format("layer {} {}", key.first, name));
      }
      LoraPair& pair = pair_of(*lora, key);
      pair.down = PackedMatrix(TensorType::F32, *rank, extent.columns);
      pair.up = PackedMatrix(TensorType::F32, extent.rows, *rank);
      total += pair.down.bytes() + pair.up.bytes();
      lora->rank_ = std::max(lora->rank_, *rank);
    }
    lora->memory_ = AlignedBuffer(total);
    std::byte* next = lora->memory_.data();
    for (const auto& [key, halves] : halved) {
      LoraPair& pair = pair_of(*lora, key);
      pair.down.data = std::exchange(next, next + pair.down.bytes());
      pair.up.data = std::exchange(next, next + pair.up.bytes());
      const double rank = pair.down.rows;
      pack_floats(pair.down, *halves.down, 1);
      pack_floats(pair.up, *halves.up,
                  static_cast<float>(adapter.alpha / (adapter.square_root ? std::sqrt(rank) : rank)));
    }
    return lora;
  }

 private:
  static LoraPair& pair_of(Lora& lora, const std::pair<int, LoraTarget>& key) {
    return lora
        .pairs_[static_cast<std::size_t>(key.first) * kLoraTargets + static_cast<std::size_t>(key.second)];
  }
};

Result<std::unique_ptr<Lora>> load_lora(const std::filesystem::path& folder, const ModelConfig& config) {
  const auto path = folder / "adapter_config.json";
  LLMD_TRY(const auto text, read_file(path, kMaxConfig));
  auto adapter = parse_config(text);
  if (!adapter) {
    return std::move(adapter).error().within(path.string());
  }
  LLMD_TRY(const auto tensors, modelfile::SafetensorsSet::open(folder, "adapter_model"));
  auto halved = sort_tensors(tensors.tensors(), config);
  if (!halved) {
    return std::move(halved).error().within(folder.string());
  }
  auto lora = LoraLoader::load(*halved, *adapter, config);
  if (!lora) {
    return std::move(lora).error().within(folder.string());
  }
  return lora;
}

}  // namespace llmd::engine
