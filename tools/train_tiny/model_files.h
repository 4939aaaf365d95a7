// The files around the weights: config.json, generation_config.json, tokenizer.json, tokenizer_config.json,
// adapter_config.json and the README.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "train_tiny/lora.h"
#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

// "text" with quotes and escapes; bytes above 127 pass through, so the text must be UTF-8.
std::string json_string(std::string_view text);

Result<void> write_model_files(const std::filesystem::path& folder, const Shape& shape);
Result<void> write_adapter_files(const std::filesystem::path& folder, const LoraOptions& options);

struct Training {
  std::string command;
  int steps = 0;
  double seconds = 0;
  double train_loss = 0;
  double validation_loss = 0;
  int adapter_steps = 0;
  double adapter_seconds = 0;
  double adapter_validation_loss = 0;
};
Result<void> write_readme(const std::filesystem::path& folder, const Shape& shape, const Training& training);

}  // namespace llmd::train_tiny
