#include "cli/memory_options.h"

#include "cli/offline.h"
#include "json/path.h"

namespace llmd::cli {

void MemoryOptions::describe(Options& options) {
  options.add("--gpu", gpu, "type (H100, H200, L4, ...) or memory (80GB) of the GPUs");
  options.add("--model", model, "folder with config.json, or GGUF file, of a model that is not well known");
  options.add("--input-tokens", traffic.input_tokens, "of a mean request").between(0, 1e9);
  options.add("--output-tokens", traffic.output_tokens, "of a mean request").between(0, 1e9);
  options.add("--shared-prefix", traffic.shared_prefix, "share of the input that requests have in common")
      .between(0, 1);
}

Result<llmisvc::MemoryQuestion> MemoryOptions::question(
    const std::vector<json::YamlDocument>& services) const {
  llmisvc::MemoryQuestion question{.shapes = local_model_shapes(services), .traffic = traffic};
  if (!gpu.empty()) {
    LLMD_TRY(question.gpu, llmisvc::accelerator_type(gpu));
  }
  if (!model.empty()) {
    LLMD_TRY(const auto shape, read_model_shape(model));
    for (const json::YamlDocument& service : services) {
      question.shapes[std::string(json::string_at(service.value, "spec.model.uri").value_or(""))] = shape;
    }
  }
  return question;
}

}  // namespace llmd::cli
