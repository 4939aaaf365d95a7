#include "engine/server/requests.h"

#include "json/codec.h"

namespace llmd::engine {

void json_decode(const json::Value& value, TextList& into, json::Report& report) {
  if (const auto* text = value.if_string()) {
    into.items.emplace_back(text->data(), text->size());
    return;
  }
  if (!value.is_array()) {
    return report.expected("a string or a list of strings", value);
  }
  json::detail::decode_value(value, into.items, report);
}

json::Value json_encode(const TextList& list) {
  return json::encode(list.items);
}

void json_decode(const json::Value& value, PromptList& into, json::Report& report) {
  const auto text_of = [](const json::String& text) { return Prompt(std::string(text.data(), text.size())); };
  if (const auto* text = value.if_string()) {
    into.items.push_back(text_of(*text));
    return;
  }
  const json::Array* list = value.if_array();
  if (list == nullptr) {
    return report.expected("a string, a list of strings, or token ids", value);
  }
  if (!list->empty() && list->front().is_number()) {
    std::vector<Token> tokens;
    json::detail::decode_value(value, tokens, report);
    into.items.emplace_back(std::move(tokens));
    return;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json::Report::Step step(report, i);
    if (const auto* text = (*list)[i].if_string()) {
      into.items.push_back(text_of(*text));
    } else {
      std::vector<Token> tokens;
      json::detail::decode_value((*list)[i], tokens, report);
      into.items.emplace_back(std::move(tokens));
    }
  }
}

json::Value json_encode(const PromptList& list) {
  json::Array array;
  for (const Prompt& prompt : list.items) {
    array.push_back(std::visit([](const auto& item) { return json::encode(item); }, prompt));
  }
  return json::Value(std::move(array));
}

BOOST_DESCRIBE_STRUCT(StreamOptions, (), (include_usage, continuous_usage_stats))
BOOST_DESCRIBE_STRUCT(CommonRequest, (),
                      (model, n, stream, stream_options, max_tokens, stop, seed, temperature, top_p, top_k,
                       min_p, repetition_penalty, presence_penalty, frequency_penalty, logit_bias,
                       stop_token_ids, allowed_token_ids, bad_words, include_stop_str_in_output, ignore_eos,
                       min_tokens, skip_special_tokens, prompt_logprobs, truncate_prompt_tokens, echo,
                       priority, request_id, cache_salt, return_tokens_as_token_ids, return_token_ids,
                       use_beam_search, response_format, structured_outputs, guided_json, guided_regex,
                       guided_choice, guided_grammar))
BOOST_DESCRIBE_STRUCT(CompletionRequest, (CommonRequest),
                      (prompt, logprobs, best_of, suffix, add_special_tokens))
BOOST_DESCRIBE_STRUCT(ChatRequest, (CommonRequest),
                      (messages, max_completion_tokens, logprobs, top_logprobs, tools, tool_choice,
                       parallel_tool_calls, documents, add_generation_prompt, continue_final_message,
                       add_special_tokens, chat_template, chat_template_kwargs))
BOOST_DESCRIBE_STRUCT(TokenizeRequest, (),
                      (model, prompt, add_special_tokens, return_token_strs, messages, add_generation_prompt,
                       continue_final_message, tools, chat_template, chat_template_kwargs))
BOOST_DESCRIBE_STRUCT(DetokenizeRequest, (), (model, tokens))
BOOST_DESCRIBE_STRUCT(LoadAdapterRequest, (), (lora_name, lora_path, base_model_name, load_inplace))

namespace {

// All mistakes in one message, at most ten of them.
ApiError schema_error(const std::vector<json::Mistake>& mistakes) {
  ApiError error{400, "Bad Request",
                 fmt::format("{} validation error{}:", mistakes.size(), mistakes.size() == 1 ? "" : "s"),
                 mistakes.front().path.empty() ? std::string("body") : "body." + mistakes.front().path};
  for (std::size_t i = 0; i < std::min<std::size_t>(10, mistakes.size()); ++i) {
    error.message += (i == 0 ? " " : "; ") + mistakes[i].text();
  }
  return error;
}

template <typename T>
Api<T> parse(std::string_view body) {
  Result<json::Value> value = json::parse(body);
  if (!value) {
    return std::unexpected(
        ApiError{400, "Bad Request", "the body is not JSON: " + value.error().text(), "body"});
  }
  auto decoded = json::decode_all<T>(*value, {.unknown_fields = json::UnknownFields::Ignore, .root = {}});
  if (!decoded.mistakes.empty()) {
    return std::unexpected(schema_error(decoded.mistakes));
  }
  return std::move(decoded.value);
}

std::unexpected<ApiError> missing(std::string_view field) {
  return std::unexpected(schema_error({json::Mistake{std::string(field), "is required", {}}}));
}

}  // namespace

Api<CompletionRequest> parse_completion_request(std::string_view body) {
  Api<CompletionRequest> request = parse<CompletionRequest>(body);
  if (request && !request->prompt) {
    return missing("prompt");
  }
  return request;
}

Api<ChatRequest> parse_chat_request(std::string_view body) {
  Api<ChatRequest> request = parse<ChatRequest>(body);
  if (request && !request->messages) {
    return missing("messages");
  }
  return request;
}

Api<TokenizeRequest> parse_tokenize_request(std::string_view body) {
  Api<TokenizeRequest> request = parse<TokenizeRequest>(body);
  if (request && !request->prompt && !request->messages) {
    return missing("prompt");
  }
  return request;
}

Api<DetokenizeRequest> parse_detokenize_request(std::string_view body) {
  Api<DetokenizeRequest> request = parse<DetokenizeRequest>(body);
  if (request && !request->tokens) {
    return missing("tokens");
  }
  return request;
}

Api<LoadAdapterRequest> parse_load_adapter_request(std::string_view body) {
  return parse<LoadAdapterRequest>(body);
}

}  // namespace llmd::engine
