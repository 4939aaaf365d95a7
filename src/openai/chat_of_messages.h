// Requests of Anthropic's API (/v1/messages) as requests of /v1/chat/completions, the way vLLM turns one into
// the other before it applies the chat template: what is rendered from the result has the tokens that the
// engine will see. Pure.
//
//   system         one system message; of a list the texts, one behind the other, without the block in which
//                  Claude Code signs its requests
//   tool_use       a tool call; its arguments are text as Python's json.dumps writes it (json_of_python())
//   tool_result    a tool message before the message that it stands in (of an assistant: text); its images
//                  follow in a user message
//   thinking       "reasoning" of the message; redacted_thinking is left out
//   image          image_url, with a data: URL for base64
//   tools          functions; tool_choice any is "required"
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace llmd::openai {

// `model` replaces the client's. InvalidArgument: the body is no JSON object with a list of messages.
Result<std::string> chat_of_messages(std::string_view body, std::string_view model);

// json.dumps(value): ", " and ": " between things, everything beyond ASCII escaped, floats as repr() has
// them. Integers beyond 64 bits have been read as floats.
std::string json_of_python(const json::Value& value);

}  // namespace llmd::openai
