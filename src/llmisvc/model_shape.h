// The sizes of a model that memory depends on: from a table of well-known models, from a config.json or from
// GGUF metadata. Pure; whoever has the files reads them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace llmd::modelfile {
class GgufFile;
}

namespace llmd::llmisvc {

struct ModelShape {
  std::string name;
  double parameters = 0;    // all, experts included
  double weight_bytes = 0;  // as stored
  long long layers = 0;     // that keep keys and values
  long long kv_heads = 0;
  long long head_size = 0;
  long long latent_size = 0;  // multi-head latent attention: values per token and layer; not split by tensor
  long long window_layers = 0;  // of the layers, those that look back `window` tokens only
  long long window = 0;
  long long context = 0;  // longest sequence; 0: unknown
  bool operator==(const ModelShape&) const = default;
};
using ModelShapes = std::map<std::string, ModelShape, std::less<>>;  // by model URI

// Bytes of weights per parameter for "fp8", "int4", "awq", "bfloat16", ...; nullopt for names nobody knows.
std::optional<double> bytes_per_parameter(std::string_view format);

// By the last part of a URI or name: hf://meta-llama/Llama-3-8B-Instruct. A quantisation in the name counts.
std::optional<ModelShape> well_known_model(std::string_view uri);

// InvalidArgument when a size is missing. `weight_bytes` (of the files) may be 0: then it is estimated from
// the sizes, 2 bytes per parameter unless the config says otherwise.
Result<ModelShape> shape_of_config(const json::Value& config, std::string name, double weight_bytes);
Result<ModelShape> shape_of_gguf(const modelfile::GgufFile& file);

}  // namespace llmd::llmisvc
