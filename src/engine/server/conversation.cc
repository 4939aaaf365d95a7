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

// Of a string, nothing, or a list of parts joined by newlines.
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

const json::Value& content_of(const json::Object& message) {
  static const json::Value kNothing;
  const json::Value* content = message.if_contains("content");
  return content == nullptr ? kNothing : *content;
}

Api<> check_messages(const json::Array& messages) {
  if (messages.empty()) {
    return bad_request("messages: must not be empty", "messages");
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    const json::Object* message = messages[i].if_object();
    const json::Value* role = message == nullptr ? nullptr : message->if_contains("role");
    if (role == nullptr || !role->is_string()) {
      return bad_request(where + ": must be an object with a role", "messages");
    }
    if (auto text = content_text(content_of(*message), where + ".content"); !text) {
      return std::unexpected(text.error());
    }
  }
  return {};
}

// Clients send the arguments of earlier tool calls as text; templates expect the object that it means.
void parse_arguments(json::Value& message) {
  json::Value* const calls = message.as_object().if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) {
    return;
  }
  for (json::Value& call : calls->get_array()) {
    boost::system::error_code missing;
    json::Value* const arguments = call.find_pointer("/function/arguments", missing);
    if (arguments != nullptr && arguments->is_string()) {
      if (auto object = json::parse(view(arguments->get_string()))) {
        *arguments = *std::move(object);
      }
    }
  }
}

Api<json::Array> list_or_nothing(const json::Value& value, std::string_view name) {
  if (value.is_null()) {
    return json::Array();
  }
  if (!value.is_array()) {
    return bad_request(fmt::format("{}: must be a list", name), name);
  }
  return value.get_array();
}

}  // namespace

std::string last_message_text(const json::Array& messages, std::string_view role) {
  const json::Object& last = messages.back().as_object();
  if (!role.empty() && view(last.at("role").as_string()) != role) {
    return "";
  }
  return content_text(content_of(last), "").value_or("");
}

Api<tokenizer::ChatInput> conversation_of(const ChatRequest& request, const ServedModel& model) {
  if (request.continue_final_message && request.add_generation_prompt.value_or(false)) {
    return bad_request("continue_final_message and add_generation_prompt exclude each other",
                       "continue_final_message");
  }
  if (!request.chat_template.empty() && !model.trust_request_chat_template) {
    return bad_request("chat_template: this server was not started with --trust-request-chat-template",
                       "chat_template");
  }
  if (auto checked = check_messages(*request.messages); !checked) {
    return std::unexpected(checked.error());
  }
  auto tools = list_or_nothing(request.tools, "tools");
  auto documents = list_or_nothing(request.documents, "documents");
  if (!tools || !documents) {
    return std::unexpected(!tools ? tools.error() : documents.error());
  }
  tokenizer::ChatInput input;
  input.messages = *request.messages;
  std::ranges::for_each(input.messages, parse_arguments);
  input.tools = std::move(*tools);
  input.documents = std::move(*documents);
  input.add_generation_prompt =
      request.add_generation_prompt.value_or(true) && !request.continue_final_message;
  input.continue_final_message = request.continue_final_message;
  input.extra = request.chat_template_kwargs;
  return input;
}

Api<std::vector<Token>> chat_prompt(const ServedModel& model, const tokenizer::ChatInput& conversation,
                                    const std::string& chat_template, bool add_special_tokens) {
  Result<std::string> text = model.format_chat(conversation, chat_template);
  if (!text) {
    // A model without a template, or a template that refuses: the client's request cannot be served as it is.
    ApiError error = api_error(text.error());
    error.status = error.status >= 500 ? error.status : 400;
    error.type = error_type(error.status);
    error.param = "messages";
    return std::unexpected(std::move(error));
  }
  std::vector<Token> tokens = model.tokenizer->encode(*text, {.add_special_tokens = add_special_tokens});
  if (tokens.empty()) {
    return bad_request("messages: the chat template made an empty prompt of them", "messages");
  }
  return tokens;
}

}  // namespace llmd::engine
