// What one server serves: names, limits, tokenizer, template and defaults. Immutable once loaded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/grammar/token_constraint.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

// The text of a conversation, by the model's template or, unless it is empty, by this one; InvalidArgument
// when the template refuses it.
using ChatFormat =
    std::function<Result<std::string>(const tokenizer::ChatInput&, const std::string& chat_template)>;

// generation_config.json and --override-generation-config.
struct GenerationDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<int> max_new_tokens;
};

struct ServedModel {
  std::vector<std::string> names;  // at least one; the first labels metrics
  std::string root;                // where it was loaded from
  std::string owned_by = "vllm";
  long created = 0;
  int max_model_len = 0;
  int max_logprobs = 20;
  bool priority_scheduling = false;
  bool trust_request_chat_template = false;
  bool auto_tool_choice = false;  // with tool_parser
  std::string tool_parser;        // "hermes", or empty
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::shared_ptr<const TokenVocabulary> vocabulary;  // for structured output; null: answers are simulated
  ChatFormat format_chat;
  GenerationDefaults defaults;
};

}  // namespace llmd::engine
