// Options about memory: which GPU, which traffic, where the model's files are.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "json/yaml.h"
#include "llmisvc/check.h"

namespace llmd::cli {

struct MemoryOptions {
  std::string gpu;
  std::string model;
  llmisvc::Traffic traffic;

  void describe(Options& options);
  // InvalidArgument for an unknown GPU; the error of reading --model.
  Result<llmisvc::MemoryQuestion> question(const std::vector<json::YamlDocument>& services) const;
};

}  // namespace llmd::cli
