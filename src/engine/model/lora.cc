#include "engine/model/lora.h"

namespace llmd::engine {

Result<std::unique_ptr<Lora>> load_lora(const std::filesystem::path& folder, const ModelConfig& /*config*/) {
  return unimplemented("{}: adapters", folder.string());
}

}  // namespace llmd::engine
