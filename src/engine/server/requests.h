// Request bodies as typed structs. Field names are the wire's; unknown fields are ignored; wrong types are a
// 400 that names the field. Defaults that depend on the model are applied later (generation.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/model/model.h"
#include "engine/server/api_error.h"
#include "json/value.h"

namespace llmd::engine {

struct StreamOptions {
  bool include_usage = false;
  bool continuous_usage_stats = false;
};

// One string or a list of them.
struct TextList {
  std::vector<std::string> items;
};

// What completions and chat have in common.
struct CommonRequest {
  std::string model;
  std::optional<int> n;
  bool stream = false;
  std::optional<StreamOptions> stream_options;
  std::optional<int> max_tokens;
  std::optional<TextList> stop;
  std::optional<std::int64_t> seed;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::map<std::string, double> logit_bias;
  std::vector<Token> stop_token_ids;
  std::vector<Token> allowed_token_ids;
  std::vector<std::string> bad_words;
  bool include_stop_str_in_output = false;
  bool ignore_eos = false;
  int min_tokens = 0;
  std::optional<bool> skip_special_tokens;
  std::optional<int> prompt_logprobs;
  std::optional<int> truncate_prompt_tokens;
  bool echo = false;
  int priority = 0;
  std::string request_id;
  std::optional<std::string> cache_salt;
  bool return_tokens_as_token_ids = false;
  bool return_token_ids = false;
  bool use_beam_search = false;
  // Structured output: at most one constraint (structured.h).
  json::Value response_format;
  json::Value structured_outputs;
  json::Value guided_json;
  json::Value guided_regex;
  json::Value guided_choice;
  json::Value guided_grammar;
};

// A text, or token ids.
using Prompt = std::variant<std::string, std::vector<Token>>;

struct PromptList {
  std::vector<Prompt> items;
};

struct CompletionRequest : CommonRequest {
  std::optional<PromptList> prompt;
  std::optional<int> logprobs;
  std::optional<int> best_of;
  std::string suffix;
  std::optional<bool> add_special_tokens;
};

struct ChatRequest : CommonRequest {
  std::optional<json::Array> messages;
  std::optional<int> max_completion_tokens;
  bool logprobs = false;
  std::optional<int> top_logprobs;
  json::Value tools;
  json::Value tool_choice;
  std::optional<bool> parallel_tool_calls;
  json::Value documents;
  std::optional<bool> add_generation_prompt;
  bool continue_final_message = false;
  std::optional<bool> add_special_tokens;
  std::string chat_template;
  json::Object chat_template_kwargs;
};

struct TokenizeRequest {
  std::string model;
  std::optional<std::string> prompt;
  std::optional<bool> add_special_tokens;
  bool return_token_strs = false;
  std::optional<json::Array> messages;
  std::optional<bool> add_generation_prompt;
  bool continue_final_message = false;
  json::Value tools;
  std::string chat_template;
  json::Object chat_template_kwargs;
};

struct DetokenizeRequest {
  std::string model;
  std::optional<std::vector<Token>> tokens;
};

struct LoadAdapterRequest {
  std::string lora_name;
  std::string lora_path;
  std::string base_model_name;
  bool load_inplace = false;
};

Api<CompletionRequest> parse_completion_request(std::string_view body);
Api<ChatRequest> parse_chat_request(std::string_view body);
Api<TokenizeRequest> parse_tokenize_request(std::string_view body);
Api<DetokenizeRequest> parse_detokenize_request(std::string_view body);
Api<LoadAdapterRequest> parse_load_adapter_request(std::string_view body);

}  // namespace llmd::engine
