// What one server serves: names, limits, tokenizer, template and defaults. Immutable once loaded.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

// A conversation, as a chat template sees it.
struct Conversation {
  json::Array messages;  // contents are strings
  json::Value tools;
  json::Value documents;
  bool add_generation_prompt = true;
  std::string chat_template;  // instead of the model's; empty: the model's
  json::Object extra;         // chat_template_kwargs
};

// The text of a conversation; InvalidArgument when the template refuses it.
using ChatFormat = std::function<Result<std::string>(const Conversation&)>;

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
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  ChatFormat format_chat;
  GenerationDefaults defaults;
};

}  // namespace llmd::engine
