// /v1/chat/completions in JSON.
#include <map>

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

  // Named tools are not a reason of their own: nothing else was possible.
  bool reports_calls(const ToolReader& reader) const {
    return reader.calls() > 0 && form().tools.mode != ToolForm::Mode::Named;
  }

  // A call's identity comes with its first piece. `number` counts calls of the choice, from 0.
  void write_call(std::string& out, int index, int number, const ToolCall& call, bool delta) const {
    out += '{';
    if (delta) {
      add_number(out, "index", number);
    }
    if (!call.name.empty()) {
      add_text(
          out, "id",
          fmt::format("chatcmpl-tool-{}-{}-{}", form().id.substr(form().id.find('-') + 1), index, number));
      add_text(out, "type", "function");
    }
    add_key(out, "function");
    out += '{';
    if (!call.name.empty()) {
      add_text(out, "name", call.name);
    }
    add_text(out, "arguments", call.arguments);
    out += "}}";
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
    ToolReader reader(form().tools);
    const ToolReader::Delta said = reader.push(choice.text, true);
    if (said.content.empty() && !said.calls.empty() && echo == nullptr) {
      out += "null";
    } else {
      json::write_quoted_to(out, echo == nullptr ? said.content : *echo + said.content);
    }
    out += R"(,"refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[)";
    for (std::size_t i = 0; i < said.calls.size(); ++i) {
      out += i == 0 ? "" : ",";
      write_call(out, index, static_cast<int>(i), said.calls[i], false);
    }
    out += R"(],"reasoning":null})";
    write_logprobs(out, choice);
    write_finish(out, choice, reports_calls(reader));
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
    ToolReader& reader = readers_.try_emplace(index, form().tools).first->second;
    int number = reader.calls() - 1;
    const ToolReader::Delta said = reader.push(choice.text, choice.finish.has_value());
    out += R"(,"delta":{)";
    if (!said.content.empty() || said.calls.empty()) {
      add_text(out, "content", said.content);
    }
    if (!said.calls.empty()) {
      add_key(out, "tool_calls");
      out += '[';
      for (const ToolCall& call : said.calls) {
        out += out.back() == '[' ? "" : ",";
        number += call.name.empty() ? 0 : 1;
        write_call(out, index, number, call, true);
      }
      out += ']';
    }
    out += '}';
    write_logprobs(out, choice);
    if (choice.finish) {
      write_finish(out, choice, reports_calls(reader));
    } else {
      out += R"(,"finish_reason":null)";
    }
    if (form().token_ids) {
      add_key(out, "token_ids");
      append_integers(out, choice.tokens);
    }
    out += '}';
  }

  std::map<int, ToolReader> readers_;  // streaming: of each choice
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(AnswerForm form) {
  return std::make_unique<ChatAnswer>(std::move(form));
}

}  // namespace llmd::engine
