// /v1/chat/completions in JSON.
#include "engine/server/answer.h"
#include "engine/server/json_text.h"
#include "engine/server/logprobs_json.h"

namespace llmd::engine {
namespace {

class ChatAnswer final : public Answer {
 public:
  using Answer::Answer;

 private:
  std::string_view object(bool chunk) const override {
    return chunk ? "chat.completion.chunk" : "chat.completion";
  }

  TokenNames names() const { return {*form().tokenizer, form().tokens_as_ids}; }

  void write_logprobs(std::string& out, const Choice& choice) const {
    add_key(out, "logprobs");
    if (form().logprobs) {
      write_chat_logprobs(out, names(), choice.logprobs);
    } else {
      out += "null";
    }
  }

  void write_choice(std::string& out, int index, const Choice& choice) const override {
    out += '{';
    add_number(out, "index", index);
    out += R"(,"message":{"role":"assistant","content":)";
    const std::string* echo = echo_of(index);
    json::write_quoted_to(out, echo == nullptr ? choice.text : *echo + choice.text);
    out +=
        R"(,"refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning":null})";
    write_logprobs(out, choice);
    write_finish(out, choice);
    add_key(out, "token_ids");
    form().token_ids ? append_integers(out, choice.tokens) : void(out += "null");
    out += '}';
  }

  // The prompt is the same for all choices.
  void write_tail(std::string& out) const override {
    add_key(out, "prompt_logprobs");
    form().prompt_logprobs ? write_prompt_logprobs(out, names(), choice(0).prompt_logprobs)
                           : void(out += "null");
    add_key(out, "prompt_token_ids");
    form().token_ids ? append_integers(out, prompt_of(0)) : void(out += "null");
  }

  void write_opening(std::string& out, int index) override {
    const auto chunk = [&](std::string_view delta) {
      begin_chunk(out);
      out += fmt::format(R"({{"index":{},"delta":{},"logprobs":null,"finish_reason":null}})", index, delta);
      end_chunk(out);
    };
    chunk(R"({"role":"assistant","content":""})");
    if (const std::string* echo = echo_of(index); echo != nullptr && !echo->empty()) {
      std::string delta = R"({"content":)";
      json::write_quoted_to(delta, *echo);
      chunk(delta + "}");
    }
  }

  void write_delta(std::string& out, int index, Choice& choice) override {
    out += '{';
    add_number(out, "index", index);
    out += R"(,"delta":{"content":)";
    json::write_quoted_to(out, choice.text);
    out += '}';
    write_logprobs(out, choice);
    if (choice.finish) {
      write_finish(out, choice);
    } else {
      out += R"(,"finish_reason":null)";
    }
    if (form().token_ids) {
      add_key(out, "token_ids");
      append_integers(out, choice.tokens);
    }
    out += '}';
  }
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(AnswerForm form) {
  return std::make_unique<ChatAnswer>(std::move(form));
}

}  // namespace llmd::engine
