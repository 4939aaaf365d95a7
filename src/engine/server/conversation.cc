// Chat messages: what clients send, and what templates and the tokenizer get (declared in prepare.h).
#include <algorithm>

#include "engine/server/prepare.h"

namespace llmd::engine {
namespace {

std::string_view view(const json::String& text) {
  return {text.data(), text.size()};
}

// One part of a content list as text.
Api<std::string> part_text(const json::Value& part, const std::string& where) {
  if (const auto* text = part.if_string()) {
    return std::string(view(*text));
  }
  const json::Object* object = part.if_object();
  const json::Value* type = object == nullptr ? nullptr : object->if_contains("type");
  if (type == nullptr || !type->is_string()) {
    return bad_request(where + ": every part needs a type", "messages");
  }
  const std::string_view kind = view(type->get_string());
  if (kind != "text" && kind != "input_text" && kind != "output_text" && kind != "refusal") {
    return bad_request(fmt::format("{}: this model reads text only, not '{}'", where, kind), "messages");
  }
  const json::Value* text = object->if_contains(kind == "refusal" ? "refusal" : "text");
  if (text == nullptr || !text->is_string()) {
    return bad_request(fmt::format("{}: a part of type '{}' needs a text", where, kind), "messages");
  }
  return std::string(view(text->get_string()));
}

Api<std::string> content_text(const json::Value& content, const std::string& where) {
  if (content.is_null()) {
    return std::string();
  }
  if (const auto* text = content.if_string()) {
    return std::string(view(*text));
  }
  const json::Array* parts = content.if_array();
  if (parts == nullptr) {
    return bad_request(where + ": must be a string or a list of parts", "messages");
  }
  std::string joined;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    auto text = part_text((*parts)[i], where);
    if (!text) {
      return text;
    }
    joined += (i == 0 ? "" : "\n") + *text;
  }
  return joined;
}

// Templates want the arguments of tool calls as objects; clients send them as text.
void parse_tool_arguments(json::Object& message) {
  json::Value* calls = message.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) {
    return;
  }
  for (json::Value& call : calls->get_array()) {
    json::Object* object = call.if_object();
    json::Value* function = object == nullptr ? nullptr : object->if_contains("function");
    json::Value* arguments = function == nullptr || !function->is_object()
                                 ? nullptr
                                 : function->get_object().if_contains("arguments");
    if (arguments != nullptr && arguments->is_string()) {
      if (auto parsed = json::parse(view(arguments->get_string()))) {
        *arguments = std::move(*parsed);
      }
    }
  }
}

}  // namespace

Api<json::Array> plain_messages(const json::Array& messages) {
  if (messages.empty()) {
    return bad_request("messages: must not be empty", "messages");
  }
  json::Array plain;
  plain.reserve(messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    const json::Object* message = messages[i].if_object();
    const json::Value* role = message == nullptr ? nullptr : message->if_contains("role");
    if (role == nullptr || !role->is_string()) {
      return bad_request(where + ": must be an object with a role", "messages");
    }
    json::Object copy = *message;
    const json::Value* content = message->if_contains("content");
    auto text = content_text(content == nullptr ? json::Value() : *content, where + ".content");
    if (!text) {
      return std::unexpected(text.error());
    }
    copy["content"] = json::String(text->data(), text->size());
    parse_tool_arguments(copy);
    plain.emplace_back(std::move(copy));
  }
  return plain;
}

std::string last_message_text(const json::Array& messages) {
  const json::Value* content = messages.back().as_object().if_contains("content");
  return content == nullptr || !content->is_string() ? "" : std::string(view(content->get_string()));
}

Api<Conversation> conversation_of(const ChatRequest& request, const ServedModel& model) {
  if (request.continue_final_message && request.add_generation_prompt.value_or(false)) {
    return bad_request("continue_final_message and add_generation_prompt exclude each other",
                       "continue_final_message");
  }
  if (!request.chat_template.empty() && !model.trust_request_chat_template) {
    return bad_request("chat_template: this server was not started with --trust-request-chat-template",
                       "chat_template");
  }
  auto messages = plain_messages(*request.messages);
  if (!messages) {
    return std::unexpected(messages.error());
  }
  return Conversation{.messages = std::move(*messages),
                      .tools = request.tools,
                      .documents = request.documents,
                      .add_generation_prompt =
                          request.add_generation_prompt.value_or(true) && !request.continue_final_message,
                      .chat_template = request.chat_template,
                      .extra = request.chat_template_kwargs};
}

Api<std::vector<Token>> chat_prompt(const ServedModel& model, const Conversation& conversation,
                                    ChatPromptOptions options) {
  Result<std::string> text = model.format_chat(conversation);
  if (!text) {
    ApiError error = api_error(text.error());
    error.param = "messages";
    return std::unexpected(std::move(error));
  }
  if (options.continue_final_message) {
    // The answer goes on where the last message ends: without what the template writes behind it.
    const std::string last = last_message_text(conversation.messages);
    const std::size_t at = text->rfind(last);
    if (at != std::string::npos) {
      text->resize(at + last.size());
    }
  }
  std::vector<Token> tokens =
      model.tokenizer->encode(*text, {.add_special_tokens = options.add_special_tokens});
  if (tokens.empty()) {
    return bad_request("messages: the chat template made an empty prompt of them", "messages");
  }
  return tokens;
}

}  // namespace llmd::engine
