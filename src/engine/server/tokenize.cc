// Tokens in, tokens out: /tokenize, /detokenize and the render endpoints (declared in handlers.h). Served
// without the engine: these answer while it is saturated.
#include "engine/server/generation_job.h"
#include "engine/server/handlers.h"
#include "engine/server/json_text.h"
#include "engine/server/prepare.h"
#include "tokenizer/detokenize.h"

namespace llmd::engine {
namespace {

Api<std::vector<Token>> tokens_of(const TokenizeRequest& request, const ServedModel& model) {
  if (!request.messages) {
    return model.tokenizer->encode(*request.prompt,
                                   {.add_special_tokens = request.add_special_tokens.value_or(true)});
  }
  ChatRequest chat;
  chat.messages = request.messages;
  chat.add_generation_prompt = request.add_generation_prompt;
  chat.continue_final_message = request.continue_final_message;
  chat.tools = request.tools;
  chat.chat_template = request.chat_template;
  chat.chat_template_kwargs = request.chat_template_kwargs;
  auto conversation = conversation_of(chat, model);
  if (!conversation) {
    return std::unexpected(conversation.error());
  }
  return chat_prompt(model, *conversation, request.chat_template, request.add_special_tokens.value_or(false));
}

std::string tokenize_body(const TokenizeRequest& request, const ServedModel& model,
                          const std::vector<Token>& tokens) {
  std::string body = "{";
  add_number(body, "count", tokens.size());
  add_number(body, "max_model_len", model.max_model_len);
  add_key(body, "tokens");
  append_integers(body, tokens);
  add_key(body, "token_strs");
  if (!request.return_token_strs) {
    return body + "null}";
  }
  body += '[';
  for (const Token token : tokens) {
    body += body.back() == '[' ? "" : ",";
    tokenizer::Utf8Stream stream;
    std::string text = stream.push(model.tokenizer->piece(token, false));
    json::write_quoted_to(body, text + stream.flush());
  }
  return body + "]}";
}

constexpr std::size_t kLongBody = 32 * 1024;  // longer ones are left to the worker

using MakeBody = Api<std::string> (*)(std::string_view body, const ServedModel& model);

Task<void> answer_with(Call& call, MakeBody make) {
  auto body = co_await call.read_body();
  if (!body) {
    co_return;
  }
  const std::shared_ptr<const ServedModel> model = call.context().model;
  const bool is_long = body->size() > kLongBody;
  auto work = [make, model, text = std::move(*body)]() -> Result<Api<std::string>> {
    return make(text, *model);
  };
  Result<Api<std::string>> made = Api<std::string>();
  if (is_long) {
    made = co_await call.context().worker.run(std::move(work));
  } else {
    made = work();
  }
  if (!made) {
    co_return co_await call.error(api_error(made.error()));
  }
  if (!*made) {
    co_return co_await call.error(made->error());
  }
  co_await call.json(std::move(**made));
}

Api<std::string> tokenize(std::string_view body, const ServedModel& model) {
  const auto request = parse_tokenize_request(body);
  if (!request) {
    return std::unexpected(request.error());
  }
  const auto tokens = tokens_of(*request, model);
  if (!tokens) {
    return std::unexpected(tokens.error());
  }
  return tokenize_body(*request, model, *tokens);
}

Api<std::string> detokenize(std::string_view body, const ServedModel& model) {
  const auto request = parse_detokenize_request(body);
  if (!request) {
    return std::unexpected(request.error());
  }
  for (const Token token : *request->tokens) {
    if (token < 0 || token >= model.tokenizer->vocab_size()) {
      return bad_request(fmt::format("tokens: token id {} is out of vocabulary", token), "tokens");
    }
  }
  tokenizer::Utf8Stream stream;
  std::string text = stream.push(model.tokenizer->decode(*request->tokens, false));
  std::string answer = "{";
  add_text(answer, "prompt", text + stream.flush());
  return answer + "}";
}

std::string rendered(const std::vector<Token>& tokens) {
  std::string object = "{";
  add_key(object, "token_ids");
  append_integers(object, tokens);
  return object + R"(,"features":null})";
}

Api<std::string> render_completions(std::string_view body, const ServedModel& model) {
  const auto job = completion_job(body, model);
  if (!job) {
    return std::unexpected(job.error());
  }
  std::string list = "[";
  for (const std::vector<Token>& prompt : job->form.prompts) {
    list += (list.size() == 1 ? "" : ",") + rendered(prompt);
  }
  return list + "]";
}

Api<std::string> render_chat(std::string_view body, const ServedModel& model) {
  const auto job = chat_job(body, model);
  if (!job) {
    return std::unexpected(job.error());
  }
  return rendered(job->form.prompts.front());
}

}  // namespace

Task<void> handle_tokenize(Call& call) {
  co_await answer_with(call, &tokenize);
}
Task<void> handle_detokenize(Call& call) {
  co_await answer_with(call, &detokenize);
}
Task<void> handle_completions_render(Call& call) {
  co_await answer_with(call, &render_completions);
}
Task<void> handle_chat_render(Call& call) {
  co_await answer_with(call, &render_chat);
}

}  // namespace llmd::engine
