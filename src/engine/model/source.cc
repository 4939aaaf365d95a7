#include "engine/model/source.h"

#include <algorithm>

namespace llmd::engine {
namespace {

struct Bound {
  std::string_view name;
  int value;
  int most;
};

}  // namespace

Result<void> check(const ModelConfig& config) {
  const Bound bounds[] = {
      {"layers", config.layers, 1024},
      {"hidden size", config.hidden_size, 1 << 16},
      {"attention heads", config.heads, 1024},
      {"key/value heads", config.kv_heads, 1024},
      {"head dimension", config.head_dim, 1024},
      {"feed-forward size", config.feed_forward, 1 << 18},
      {"vocabulary size", config.vocab_size, 1 << 24},
      {"context length", config.max_positions, 1 << 24},
  };
  for (const Bound& bound : bounds) {
    if (bound.value < 1 || bound.value > bound.most) {
      return data_loss("{}: {} is not between 1 and {}", bound.name, bound.value, bound.most);
    }
  }
  if (config.heads % config.kv_heads != 0) {
    return data_loss("{} attention heads cannot share {} key/value heads evenly", config.heads,
                     config.kv_heads);
  }
  if (config.head_dim % 2 != 0) {
    return data_loss("head dimension: {} is odd; rotation needs pairs", config.head_dim);
  }
  if (!(config.rope_theta > 0) || !(config.norm_epsilon >= 0)) {
    return data_loss("rotation base {} and norm epsilon {} must be positive", config.rope_theta,
                     config.norm_epsilon);
  }
  return {};
}

Result<std::unique_ptr<ModelSource>> open_source(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return not_found("{}: no such file or folder", path.string());
  }
  if (!std::filesystem::is_directory(path, error)) {
    return open_gguf_source(path);
  }
  if (std::filesystem::exists(path / "config.json", error)) {
    return open_safetensors_source(path);
  }
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().extension() == ".gguf") {
      found.push_back(entry.path());
    }
  }
  if (found.size() == 1) {
    return open_gguf_source(found.front());
  }
  if (found.empty()) {
    return not_found("{}: the folder has neither config.json nor a .gguf file", path.string());
  }
  return invalid_argument("{}: the folder has {} .gguf files", path.string(), found.size())
      .hint("name one of them");
}

}  // namespace llmd::engine
