#include "engine/server/generation_job.h"

#include <algorithm>

#include "engine/server/prepare.h"
#include "engine/server/structured.h"
#include "engine/server/tool_choice.h"

namespace llmd::engine {
namespace {

// What both kinds of requests have in their answers' form.
AnswerForm form_of(const CommonRequest& request, const ServedModel& model) {
  AnswerForm form;
  form.tokenizer = model.tokenizer.get();
  form.choices_per_prompt = request.n.value_or(1);
  form.prompt_logprobs = request.prompt_logprobs.has_value();
  form.token_ids = request.return_token_ids;
  form.tokens_as_ids = request.return_tokens_as_token_ids;
  if (request.stream_options) {
    form.include_usage = request.stream_options->include_usage;
    form.continuous_usage = form.include_usage && request.stream_options->continuous_usage_stats;
  }
  return form;
}

Api<> check_completion(const CompletionRequest& request, const ServedModel& model) {
  if (!request.suffix.empty()) {
    return bad_request("suffix is not supported", "suffix");
  }
  if (request.best_of && *request.best_of != request.n.value_or(1)) {
    return not_implemented("best_of: only the value of n is possible", "best_of");
  }
  if (request.prompt->items.empty()) {
    return bad_request("prompt: must not be an empty list", "prompt");
  }
  if (request.stream && request.echo && request.logprobs && request.max_tokens == 0) {
    return bad_request("echo with logprobs and max_tokens 0 has nothing to stream", "stream");
  }
  return check_common(request, model);
}

Api<> check_chat(const ChatRequest& request, const ServedModel& model) {
  if (request.top_logprobs && *request.top_logprobs < 0) {
    return bad_request("top_logprobs: must not be negative", "top_logprobs");
  }
  if (request.top_logprobs.value_or(0) > 0 && !request.logprobs) {
    return bad_request("top_logprobs: needs logprobs", "top_logprobs");
  }
  if (request.top_logprobs && *request.top_logprobs > model.max_logprobs) {
    return bad_request(fmt::format("top_logprobs: at most {} are allowed (--max-logprobs), got {}",
                                   model.max_logprobs, *request.top_logprobs),
                       "top_logprobs");
  }
  const std::optional<int> limit =
      request.max_completion_tokens ? request.max_completion_tokens : request.max_tokens;
  if (limit && *limit < 1) {
    return bad_request(fmt::format("max_tokens: must be at least 1, got {}", *limit), "max_tokens");
  }
  return check_common(request, model);
}

Api<> apply_tools(const ToolForm& form, const ChatRequest& request, const ServedModel& model,
                  SamplingParams& params) {
  if (form.mode == ToolForm::Mode::Hermes) {
    params.skip_special_tokens = false;  // some models write the tags as special tokens
  }
  const json::Value schema = tool_schema(form, request);
  if (schema.is_null()) {
    return {};
  }
  if (params.constraint) {
    return bad_request("tool_choice: a forced tool call and structured output exclude each other",
                       "tool_choice");
  }
  auto constraint = constraint_by_schema(schema, "tools", model);
  if (!constraint) {
    return std::unexpected(constraint.error());
  }
  params.constraint = std::move(*constraint);
  return {};
}

}  // namespace

Api<GenerationJob> completion_job(std::string_view body, const ServedModel& model) {
  Api<CompletionRequest> request = parse_completion_request(body);
  if (!request) {
    return std::unexpected(request.error());
  }
  if (auto checked = check_completion(*request, model); !checked) {
    return std::unexpected(checked.error());
  }
  GenerationJob job{.endpoint = Endpoint::Completions, .form = form_of(*request, model)};
  std::size_t longest = 0;
  for (const Prompt& prompt : request->prompt->items) {
    auto tokens = completion_prompt(model, prompt, request->add_special_tokens.value_or(true));
    if (!tokens) {
      return std::unexpected(tokens.error());
    }
    truncate_prompt(*tokens, *request, model);
    longest = std::max(longest, tokens->size());
    if (request->echo) {
      const auto* text = std::get_if<std::string>(&prompt);
      job.form.echo.push_back(text != nullptr ? *text : model.tokenizer->decode(*tokens));
    }
    job.form.prompts.push_back(std::move(*tokens));
  }
  auto params = sampling_params(*request, model, {request->max_tokens, 16}, request->logprobs,
                                static_cast<int>(longest));
  if (!params) {
    return std::unexpected(params.error());
  }
  job.params = std::move(*params);
  job.form.logprobs = request->logprobs.has_value();
  if (request->echo && request->logprobs && !job.params.prompt_logprobs) {
    job.params.prompt_logprobs = request->logprobs;  // the prompt's scores stand in front of the answer's
  }
  job.limited = true;
  job.echo = job.form.prompts.front();
  job.common = std::move(*request);
  return job;
}

Api<GenerationJob> chat_job(std::string_view body, const ServedModel& model) {
  Api<ChatRequest> request = parse_chat_request(body);
  if (!request) {
    return std::unexpected(request.error());
  }
  if (auto checked = check_chat(*request, model); !checked) {
    return std::unexpected(checked.error());
  }
  auto tools = tool_form(*request, model);
  if (!tools) {
    return std::unexpected(tools.error());
  }
  auto conversation = conversation_of(*request, model);
  if (!conversation) {
    return std::unexpected(conversation.error());
  }
  auto tokens =
      chat_prompt(model, *conversation, request->chat_template, request->add_special_tokens.value_or(false));
  if (!tokens) {
    return std::unexpected(tokens.error());
  }
  truncate_prompt(*tokens, *request, model);
  const std::optional<int> limit =
      request->max_completion_tokens ? request->max_completion_tokens : request->max_tokens;
  const auto logprobs = request->logprobs ? std::optional(request->top_logprobs.value_or(0)) : std::nullopt;
  auto params = sampling_params(*request, model, {limit, 0}, logprobs, static_cast<int>(tokens->size()));
  if (!params) {
    return std::unexpected(params.error());
  }
  if (auto applied = apply_tools(*tools, *request, model, *params); !applied) {
    return std::unexpected(applied.error());
  }
  GenerationJob job{
      .endpoint = Endpoint::Chat, .form = form_of(*request, model), .params = std::move(*params)};
  job.form.prompts.push_back(std::move(*tokens));
  job.form.logprobs = request->logprobs;
  job.form.tools = std::move(*tools);
  job.limited = limit.has_value();
  const std::string last = last_message_text(*request->messages);
  job.echo = model.tokenizer->encode(last, {.add_special_tokens = false});
  if (request->echo) {
    job.form.echo.push_back(last_message_text(*request->messages, "assistant"));
  }
  job.common = std::move(*request);
  return job;
}

}  // namespace llmd::engine
