#include "tokenizer/chat_template.h"

#include "base/strings.h"

namespace llmd::tokenizer {
namespace {

std::string_view view(const json::Value& value) {
  return value.is_string() ? std::string_view(value.get_string().data(), value.get_string().size())
                           : std::string_view();
}

// The texts of a list of parts, joined by newlines. Parts of other kinds need a model that sees or hears.
Result<std::string> joined_parts(const json::Array& parts, std::size_t message) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto* part = parts[i].if_object();
    const auto* content = part != nullptr ? part->if_contains("text") : nullptr;
    if (content == nullptr && part != nullptr)
      content = part->if_contains("refusal");
    if (content == nullptr || !content->is_string()) {
      return invalid_argument("messages[{}].content[{}]: only text parts are supported", message, i);
    }
    if (i > 0)
      text += '\n';
    text += view(*content);
  }
  return text;
}

// Clients send a call's arguments as JSON in a string; templates expect the object.
void parse_arguments(json::Object& message) {
  auto* calls = message.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array())
    return;
  for (auto& call : calls->get_array()) {
    auto* function = call.is_object() ? call.get_object().if_contains("function") : nullptr;
    auto* arguments = function != nullptr && function->is_object()
                          ? function->get_object().if_contains("arguments")
                          : nullptr;
    if (arguments == nullptr || !arguments->is_string())
      continue;
    if (view(*arguments).empty()) {
      *arguments = json::Object{};
    } else if (auto parsed = json::parse(view(*arguments)); parsed && parsed->is_object()) {
      *arguments = std::move(*parsed);
    }
  }
}

Result<json::Array> prepared(const json::Array& messages, bool wants_parts) {
  json::Array result = messages;
  for (std::size_t i = 0; i < result.size(); ++i) {
    auto* message = result[i].if_object();
    if (message == nullptr)
      return invalid_argument("messages[{}]: expected an object", i);
    if (!message->contains("role"))
      return invalid_argument("messages[{}].role: missing", i);
    parse_arguments(*message);
    auto* content = message->if_contains("content");
    if (content == nullptr || content->is_null()) {
      (*message)["content"] = "";  // next to tool_calls; many templates would print "None"
    } else if (content->is_array() && !wants_parts) {
      LLMD_TRY(auto text, joined_parts(content->get_array(), i));
      *content = std::move(text);
    }
  }
  return result;
}

std::string final_text(const json::Array& messages) {
  const auto& content = messages.back().get_object().at("content");
  if (!content.is_array())
    return std::string(view(content));
  const auto& parts = content.get_array();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_object() && part->get_object().contains("text"))
      return std::string(view(part->get_object().at("text")));
  }
  return {};
}

// Cuts what the template wrote behind the last message's text.
Result<std::string> cut_after(std::string rendered, const std::string& text) {
  const std::string stripped(trim(text));
  const auto at = rendered.rfind(stripped);
  if (at == std::string::npos) {
    return invalid_argument(
        "continue_final_message: the final message does not appear in the rendered conversation");
  }
  // Blanks behind the text stay if the template kept them.
  const auto from = text.find_first_not_of(" \t\r\n\v\f");
  const auto without_left = from == std::string::npos ? std::string() : text.substr(from);
  const bool kept = rendered.compare(at, without_left.size(), without_left) == 0;
  rendered.resize(at + (kept ? without_left.size() : stripped.size()));
  return rendered;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::make(const Tokenizer& tokenizer, Options options) {
  const auto& source = options.source ? *options.source : tokenizer.chat_template();
  if (source.empty()) {
    return failed_precondition("the model has no chat template")
        .hint("give one with --chat-template, or use /v1/completions");
  }
  auto compiled = text::JinjaTemplate::parse(source, {.clock = options.clock});
  if (!compiled)
    return std::unexpected(std::move(compiled).error().within("chat template"));
  const bool parts = options.content == ContentFormat::Parts ||
                     (options.content == ContentFormat::Auto && compiled->iterates_content());
  ChatTemplate result(std::move(*compiled), parts);
  if (const auto bos = tokenizer.bos())
    result.bos_token_ = tokenizer.piece(*bos, false);
  if (!tokenizer.end_tokens().empty())
    result.eos_token_ = tokenizer.piece(tokenizer.end_tokens().front(), false);
  return result;
}

Result<std::string> ChatTemplate::render(const ChatInput& input) const {
  if (input.continue_final_message && input.add_generation_prompt) {
    return invalid_argument("continue_final_message and add_generation_prompt cannot both be true");
  }
  if (input.messages.empty())
    return invalid_argument("messages: must not be empty");
  LLMD_TRY(auto messages, prepared(input.messages, wants_parts_));
  const auto last = input.continue_final_message ? final_text(messages) : std::string();
  json::Object context;
  context["messages"] = std::move(messages);
  context["tools"] = input.tools.empty() ? json::Value(nullptr) : json::Value(input.tools);
  context["documents"] = input.documents.empty() ? json::Value(nullptr) : json::Value(input.documents);
  context["add_generation_prompt"] = input.add_generation_prompt;
  context["bos_token"] = bos_token_;
  context["eos_token"] = eos_token_;
  for (const auto& [name, value] : input.extra)
    context[name] = value;
  auto rendered = compiled_.render(context);
  if (!rendered)
    return std::unexpected(std::move(rendered).error().within("chat template"));
  if (!input.continue_final_message)
    return rendered;
  return cut_after(std::move(*rendered), last);
}

}  // namespace llmd::tokenizer
