// A conversation to the prompt the model was trained on: renders the tokenizer's Jinja chat template as
// transformers' apply_chat_template and vLLM's chat endpoint do.
//
// Immutable after make(); any thread may render.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "json/value.h"
#include "text/jinja.h"
#include "tokenizer/tokenizer.h"

namespace llmd::tokenizer {

struct ChatInput {
  json::Array messages;   // OpenAI's shape: role, content (text, null or a list of parts), tool_calls, ...
  json::Array tools;      // empty: the template sees `tools` as none
  json::Array documents;  // likewise
  bool add_generation_prompt = true;    // ends with the assistant's header
  bool continue_final_message = false;  // the last message is open: nothing follows its text
  json::Object extra;                   // chat_template_kwargs: further variables, which win over ours
};

class ChatTemplate {
 public:
  // What the model's own template wants for content, unless somebody knows better.
  enum class ContentFormat { Auto, Text, Parts };
  struct Options {
    std::optional<std::string> source;  // instead of the tokenizer's template
    ContentFormat content = ContentFormat::Auto;
    const Clock* clock = nullptr;  // for strftime_now
  };

  // FailedPrecondition when there is no template at all; InvalidArgument with a line when it does not parse.
  static Result<ChatTemplate> make(const Tokenizer& tokenizer, Options options);
  static Result<ChatTemplate> make(const Tokenizer& tokenizer) { return make(tokenizer, Options{}); }

  // InvalidArgument when the template refuses the conversation, or when the input contradicts itself.
  Result<std::string> render(const ChatInput& input) const;

  // Does the template get content as a list of parts? Else text parts are joined by newlines.
  bool wants_parts() const { return wants_parts_; }

 private:
  ChatTemplate(text::JinjaTemplate compiled, bool wants_parts)
      : compiled_(std::move(compiled)), wants_parts_(wants_parts) {}

  text::JinjaTemplate compiled_;
  bool wants_parts_;
  std::string bos_token_;
  std::string eos_token_;
};

}  // namespace llmd::tokenizer
