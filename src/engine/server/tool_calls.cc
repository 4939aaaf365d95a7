#include "engine/server/tool_calls.h"

#include <algorithm>

#include "base/strings.h"
#include "json/value.h"

namespace llmd::engine {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kSpace = " \t\r\n";

// How many characters at the end of `text` may be the beginning of kOpen.
std::size_t maybe_open(std::string_view text) {
  for (std::size_t length = std::min(text.size(), kOpen.size() - 1); length > 0; --length) {
    if (text.ends_with(kOpen.substr(0, length))) {
      return length;
    }
  }
  return 0;
}

}  // namespace

ToolReader::Delta ToolReader::push(std::string_view text, bool end) {
  switch (form_.mode) {
    case ToolForm::Mode::None:
      return {.content = std::string(text), .calls = {}};
    case ToolForm::Mode::Named:
      return read_named(text);
    case ToolForm::Mode::Hermes:
      held_ += text;
      return read_hermes(end);
    case ToolForm::Mode::Required:
      held_ += text;
      return end ? read_required() : Delta{};
  }
  return {};
}

ToolReader::Delta ToolReader::read_named(std::string_view text) {
  Delta delta;
  if (calls_ == 0) {
    delta.calls.push_back({form_.name, std::string(text)});
    ++calls_;
  } else if (!text.empty()) {
    delta.calls.push_back({"", std::string(text)});
  }
  return delta;
}

// An answer that was cut off stays what it is: text.
ToolReader::Delta ToolReader::read_required() {
  Delta delta;
  const auto list = json::parse(held_);
  if (!list || !list->is_array()) {
    delta.content = held_;
    return delta;
  }
  for (const json::Value& call : list->get_array()) {
    if (!take_call(json::write(call), delta)) {
      delta.content += json::write(call);
    }
  }
  return delta;
}

ToolReader::Delta ToolReader::read_hermes(bool end) {
  Delta delta;
  for (;;) {
    const std::size_t tag = held_.find(inside_ ? kClose : kOpen);
    if (tag == std::string::npos) {
      break;
    }
    const std::string_view before = std::string_view(held_).substr(0, tag);
    if (!inside_) {
      add_content(before, delta);
    } else if (!take_call(before, delta)) {
      add_content(fmt::format("{}{}{}", kOpen, before, kClose), delta);
    }
    held_.erase(0, tag + (inside_ ? kClose : kOpen).size());
    inside_ = !inside_;
  }
  if (inside_) {
    // Models forget the end tag when the answer ends with it.
    if (end && !take_call(held_, delta)) {
      add_content(std::string(kOpen) + held_, delta);
    }
    return delta;
  }
  const std::size_t keep = end ? 0 : maybe_open(held_);
  add_content(std::string_view(held_).substr(0, held_.size() - keep), delta);
  held_.erase(0, held_.size() - keep);
  return delta;
}

// Space between calls says nothing.
void ToolReader::add_content(std::string_view text, Delta& delta) {
  if (calls_ > 0 && text.find_first_not_of(kSpace) == std::string_view::npos) {
    return;
  }
  delta.content += text;
}

bool ToolReader::take_call(std::string_view text, Delta& delta) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) {
    return false;
  }
  const auto call = json::parse(text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin));
  const json::Object* const object = call ? call->if_object() : nullptr;
  const json::Value* const name = object == nullptr ? nullptr : object->if_contains("name");
  if (name == nullptr || !name->is_string()) {
    return false;
  }
  const json::Value* arguments = object->if_contains("arguments");
  arguments = arguments == nullptr ? object->if_contains("parameters") : arguments;
  delta.calls.push_back({std::string(name->get_string().data(), name->get_string().size()),
                         arguments == nullptr ? "{}" : json::write(*arguments)});
  ++calls_;
  return true;
}

}  // namespace llmd::engine
