// /v1/completions in JSON.
#include "engine/server/answer.h"
#include "engine/server/json_text.h"
#include "engine/server/logprobs_json.h"

namespace llmd::engine {
namespace {

class CompletionAnswer final : public Answer {
 public:
  using Answer::Answer;

 private:
  std::string_view object(bool) const override { return "text_completion"; }

  TokenNames names() const { return {*form().tokenizer, form().tokens_as_ids}; }

  std::size_t write_logprobs(std::string& out, const EchoedPrompt& prompt, const Choice& choice) const {
    add_key(out, "logprobs");
    if (!form().logprobs) {
      out += "null";
      return 0;
    }
    return write_completion_logprobs(out, names(), prompt, choice.logprobs, choice.text_offset);
  }

  void write_choice(std::string& out, int index, const Choice& choice) const override {
    const std::string* echo = echo_of(index);
    out += '{';
    add_number(out, "index", index);
    add_text(out, "text", echo == nullptr ? choice.text : *echo + choice.text);
    write_logprobs(out,
                   echo == nullptr ? EchoedPrompt{} : EchoedPrompt{prompt_of(index), choice.prompt_logprobs},
                   choice);
    write_finish(out, choice);
    add_key(out, "prompt_logprobs");
    form().prompt_logprobs ? write_prompt_logprobs(out, names(), choice.prompt_logprobs)
                           : void(out += "null");
    write_token_ids(out, index, choice);
    out += '}';
  }

  void write_token_ids(std::string& out, int index, const Choice& choice) const {
    add_key(out, "prompt_token_ids");
    form().token_ids ? append_integers(out, prompt_of(index)) : void(out += "null");
    add_key(out, "token_ids");
    form().token_ids ? append_integers(out, choice.tokens) : void(out += "null");
  }

  void write_opening(std::string&, int) override {}

  void write_delta(std::string& out, int index, Choice& choice) override {
    EchoedPrompt prompt;
    if (const std::string* echo = echo_of(index); echo != nullptr && !echoed_[index]) {
      echoed_[index] = true;
      choice.text.insert(0, *echo);
      prompt = {prompt_of(index), choice.prompt_logprobs};
    }
    out += '{';
    add_number(out, "index", index);
    add_text(out, "text", choice.text);
    choice.text_offset = write_logprobs(out, prompt, choice);
    write_finish(out, choice);
    write_token_ids(out, index, choice);
    out += '}';
  }

  std::map<int, bool> echoed_;
};

}  // namespace

std::unique_ptr<Answer> make_completion_answer(AnswerForm form) {
  return std::make_unique<CompletionAnswer>(std::move(form));
}

}  // namespace llmd::engine
