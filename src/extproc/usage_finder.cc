#include "extproc/usage_finder.h"

#include <algorithm>

#include "json/path.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kKey = "\"usage\"";
// A usage object is about 200 bytes; what is longer is something else.
constexpr std::size_t kMaxObject = 4096;

}  // namespace

void UsageFinder::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::Searching:
        search(bytes);
        break;
      case State::Key:
        key(bytes);
        break;
      case State::Object:
        object(bytes);
        break;
    }
  }
}

void UsageFinder::search(std::string_view& bytes) {
  if (!tail_.empty()) {  // the key may lie across the border
    const std::size_t before = tail_.size();
    tail_ += bytes.substr(0, kKey.size() - 1);
    const std::size_t at = tail_.find(kKey);
    if (at != std::string::npos) {
      bytes.remove_prefix(at + kKey.size() - before);
      tail_.clear();
      state_ = State::Key;
      colon_ = false;
      return;
    }
  }
  const std::size_t at = bytes.find(kKey);
  if (at != std::string_view::npos) {
    bytes.remove_prefix(at + kKey.size());
    tail_.clear();
    state_ = State::Key;
    colon_ = false;
    return;
  }
  const std::size_t keep = kKey.size() - 1;
  if (bytes.size() >= keep) {
    tail_ = bytes.substr(bytes.size() - keep);
  } else if (tail_.empty()) {
    tail_ = bytes;
  } else if (tail_.size() > keep) {
    tail_.erase(0, tail_.size() - keep);
  }
  bytes = {};
}

// After the key: a colon and the beginning of an object, or it was something else.
void UsageFinder::key(std::string_view& bytes) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      continue;
    }
    if (c == ':' && !colon_) {
      colon_ = true;
      continue;
    }
    if (c == '{' && colon_) {
      text_ = "{";
      depth_ = 1;
      state_ = State::Object;
    } else {
      state_ = State::Searching;
    }
    return;
  }
}

void UsageFinder::object(std::string_view& bytes) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    bytes.remove_prefix(1);
    text_ += c;
    depth_ += c == '{' ? 1 : c == '}' ? -1 : 0;
    if (depth_ == 0) {
      found_.swap(text_);
    }
    if (depth_ == 0 || text_.size() > kMaxObject) {
      state_ = State::Searching;
      return;
    }
  }
}

picker::Usage UsageFinder::usage() const {
  picker::Usage usage;
  if (found_.empty()) {
    return usage;
  }
  const auto parsed = json::parse(found_);
  if (!parsed || !parsed->is_object()) {
    return usage;
  }
  const auto count = [](const json::Object& in, std::string_view name) -> std::optional<std::int64_t> {
    const json::Value* value = in.if_contains(name);
    const auto number = value == nullptr ? std::nullopt : json::as_integer(*value);
    return number && *number >= 0 ? number : std::nullopt;
  };
  const json::Object& object = parsed->as_object();
  usage.prompt_tokens = count(object, "prompt_tokens");
  usage.completion_tokens = count(object, "completion_tokens");
  if (!usage.prompt_tokens) {  // /v1/responses, /v1/messages
    usage.prompt_tokens = count(object, "input_tokens");
    usage.completion_tokens = count(object, "output_tokens");
  }
  for (const std::string_view name : {"prompt_tokens_details", "input_tokens_details"}) {
    const json::Value* details = object.if_contains(name);
    if (details != nullptr && details->is_object()) {
      usage.cached_tokens = count(details->as_object(), "cached_tokens");
    }
  }
  return usage;
}

}  // namespace llmd::extproc
