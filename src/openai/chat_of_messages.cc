#include "openai/chat_of_messages.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "openai/signature.h"

namespace llmd::openai {
namespace {

std::string_view text_at(const json::Value& object, std::string_view name) {
  return json::string_at(object, name).value_or("");
}

json::Object object_or_empty(const json::Value& parent, std::string_view name) {
  const json::Object* const found = json::object_at(parent, name);
  return found != nullptr ? *found : json::Object();
}

json::Object text_part(std::string_view text) {
  return json::Object{{"type", "text"}, {"text", text}};
}

// Nullopt: a source without a picture.
std::optional<json::Object> image_part(const json::Value& block) {
  const std::string_view data = text_at(block, "source.data");
  std::string url(text_at(block, "source.url"));
  if (text_at(block, "source.type") != "url") {
    const auto type = json::string_at(block, "source.media_type").value_or("image/jpeg");
    url = data.empty() ? std::string() : fmt::format("data:{};base64,{}", type, data);
  }
  if (url.empty()) {
    return std::nullopt;
  }
  return json::Object{{"type", "image_url"}, {"image_url", json::Object{{"url", url}}}};
}

// What a tool said: its texts, line by line, and its pictures.
struct ToolResult {
  std::string text;
  json::Array images;
};

ToolResult read_result(const json::Value& block) {
  ToolResult result{.text = std::string(text_at(block, "content")), .images = {}};
  const json::Array* const parts = json::array_at(block, "content");
  std::vector<std::string> texts;
  for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
    const json::Value& part = (*parts)[i];
    const std::string_view type = text_at(part, "type");
    if (type == "text") {
      texts.emplace_back(text_at(part, "text"));
    } else if (auto image = type == "image" ? image_part(part) : std::nullopt) {
      result.images.emplace_back(std::move(*image));
    }
  }
  if (parts != nullptr) {
    result.text = join(texts, "\n");
  }
  return result;
}

// One message of Anthropic's, whose blocks may become several of the other API's.
class Message {
 public:
  Message(std::string_view role, json::Array& into) : role_(role), into_(into) {}

  void add(const json::Value& block) {
    const std::string_view type = text_at(block, "type");
    if (type == "text" && !text_at(block, "text").empty()) {
      parts_.emplace_back(text_part(text_at(block, "text")));
    } else if (type == "image") {
      if (auto image = image_part(block)) {
        parts_.emplace_back(std::move(*image));
      }
    } else if (type == "thinking") {
      reasoning_ += text_at(block, "thinking");
      thinks_ = true;
    } else if (type == "tool_use") {
      add_call(block);
    } else if (type == "tool_result") {
      add_result(block);
    }
  }

  // All blocks are in. A message of which nothing is left is none.
  void end() {
    if (parts_.empty() && calls_.empty() && !thinks_) {
      return;
    }
    json::Object message{{"role", role_}};
    if (thinks_) {
      message["reasoning"] = reasoning_;
    }
    if (!calls_.empty()) {
      message["tool_calls"] = std::move(calls_);
    }
    if (parts_.size() == 1 && text_at(parts_[0], "type") == "text") {
      message["content"] = text_at(parts_[0], "text");
    } else if (!parts_.empty()) {
      message["content"] = std::move(parts_);
    }
    into_.emplace_back(std::move(message));
  }

 private:
  void add_call(const json::Value& block) {
    const json::Value input(object_or_empty(block, "input"));
    json::Object function{{"name", text_at(block, "name")}, {"arguments", json_of_python(input)}};
    calls_.emplace_back(
        json::Object{{"id", text_at(block, "id")}, {"type", "function"}, {"function", std::move(function)}});
  }

  void add_result(const json::Value& block) {
    ToolResult result = read_result(block);
    if (role_ != "user") {
      parts_.emplace_back(text_part("Tool result: " + result.text));
      return;
    }
    into_.emplace_back(json::Object{
        {"role", "tool"}, {"tool_call_id", text_at(block, "tool_use_id")}, {"content", result.text}});
    if (!result.images.empty()) {
      into_.emplace_back(json::Object{{"role", "user"}, {"content", std::move(result.images)}});
    }
  }

  const std::string_view role_;
  json::Array& into_;
  json::Array parts_;
  json::Array calls_;
  std::string reasoning_;
  bool thinks_ = false;
};

void add_message(const json::Value& message, json::Array& into) {
  const std::string_view role = text_at(message, "role");
  const json::Array* const blocks = json::array_at(message, "content");
  if (blocks == nullptr) {
    into.emplace_back(json::Object{{"role", role}, {"content", text_at(message, "content")}});
    return;
  }
  Message converted(role, into);
  for (const json::Value& block : *blocks) {
    converted.add(block);
  }
  converted.end();
}

void add_system(const json::Value& request, json::Array& into) {
  std::string text(text_at(request, "system"));
  const json::Array* const blocks = json::array_at(request, "system");
  for (std::size_t i = 0; blocks != nullptr && i < blocks->size(); ++i) {
    const std::string_view part = text_at((*blocks)[i], "text");
    if (text_at((*blocks)[i], "type") == "text" && !part.starts_with(kSignature)) {
      text += part;
    }
  }
  if (!text.empty()) {
    into.emplace_back(json::Object{{"role", "system"}, {"content", text}});
  }
}

json::Object function_of(const json::Value& tool) {
  json::Object schema = object_or_empty(tool, "input_schema");
  if (!schema.contains("type")) {
    schema["type"] = "object";
  }
  json::Object function{{"name", text_at(tool, "name")}};
  if (const auto description = json::string_at(tool, "description")) {
    function["description"] = *description;
  }
  function["parameters"] = std::move(schema);
  return json::Object{{"type", "function"}, {"function", std::move(function)}};
}

json::Value choice_of(const json::Value& request) {
  const std::string_view type = text_at(request, "tool_choice.type");
  if (type == "tool") {
    const std::string_view name = text_at(request, "tool_choice.name");
    return json::Object{{"type", "function"}, {"function", json::Object{{"name", name}}}};
  }
  return json::Value(type == "any" ? "required" : type.empty() ? "auto" : type);
}

}  // namespace

Result<std::string> chat_of_messages(std::string_view body, std::string_view model) {
  LLMD_TRY(const json::Value request, json::parse(body));
  const json::Array* const messages = json::array_at(request, "messages");
  if (messages == nullptr) {
    return invalid_argument("messages: is missing");
  }
  json::Array converted;
  add_system(request, converted);
  for (const json::Value& message : *messages) {
    add_message(message, converted);
  }
  json::Object chat{{"model", model}, {"messages", std::move(converted)}};
  const json::Array* const tools = json::array_at(request, "tools");
  if (tools != nullptr && !tools->empty()) {
    json::Array functions;
    for (const json::Value& tool : *tools) {
      functions.emplace_back(function_of(tool));
    }
    chat["tools"] = std::move(functions);
    chat["tool_choice"] = choice_of(request);
  }
  if (const json::Object* const arguments = json::object_at(request, "chat_template_kwargs")) {
    chat["chat_template_kwargs"] = *arguments;
  }
  return json::write(json::Value(std::move(chat)));
}

}  // namespace llmd::openai
