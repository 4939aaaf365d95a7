#include "extproc/usage_finder.h"

#include <string.h>  // NOLINT: memmem

#include <algorithm>

#include "base/strings.h"
#include "json/path.h"

namespace llmd::extproc {
namespace {

// A usage object is about 200 bytes; what is longer is something else.
constexpr std::size_t kMaxObject = 4096;
// How much of an event stream is looked at.
constexpr std::size_t kBeginning = 2048;
constexpr std::size_t kEnd = 4096;

std::size_t find_in(std::string_view bytes, std::string_view key) {
  const void* at = ::memmem(bytes.data(), bytes.size(), key.data(), key.size());
  return at == nullptr ? std::string_view::npos
                       : static_cast<std::size_t>(static_cast<const char*>(at) - bytes.data());
}

// Some engines write numbers as texts.
std::optional<long long> number_of(const json::Value& value) {
  if (const auto* text = value.if_string()) {
    return parse_integer({text->data(), text->size()});
  }
  return json::as_integer(value);
}

void read_count(const json::Object& object, std::string_view name, std::optional<std::int64_t>& out) {
  const json::Value* value = object.if_contains(name);
  const auto number = value == nullptr ? std::nullopt : number_of(*value);
  if (number && *number >= 0) {
    out = *number;
  }
}

}  // namespace

void UsageFinder::feed(std::string_view bytes) {
  if (engine_answers_) {
    engine_answers_->feed(bytes);
    return;
  }
  if (!events_ || seen_ < kBeginning) {
    look(events_ ? bytes.substr(0, kBeginning - seen_) : bytes);
  }
  seen_ += bytes.size();
  if (events_) {
    keep_end(bytes);
  }
}

void UsageFinder::keep_end(std::string_view bytes) {
  if (bytes.size() >= kEnd) {
    end_ = bytes.substr(bytes.size() - kEnd);
    return;
  }
  if (end_.size() + bytes.size() > 2 * kEnd) {
    end_.erase(0, end_.size() + bytes.size() - kEnd);
  }
  end_ += bytes;
}

picker::Usage UsageFinder::finish() {
  if (engine_answers_) {
    return engine_answers_->usage();
  }
  if (events_) {
    state_ = State::Searching;
    border_.clear();
    look(end_);
    end_ = std::string();
  }
  return usage_;
}

void UsageFinder::look(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::Searching:
        search(bytes);
        break;
      case State::Key:
        after_key(bytes);
        break;
      case State::Object:
        object(bytes);
        break;
    }
  }
}

void UsageFinder::found_key(std::string_view& bytes, std::size_t end) {
  bytes.remove_prefix(end);
  border_.clear();
  colon_ = false;
  state_ = State::Key;
}

void UsageFinder::search(std::string_view& bytes) {
  const std::size_t kept = key_.size() - 1;
  if (!border_.empty()) {  // the key may lie across the border
    const std::size_t before = border_.size();
    border_ += bytes.substr(0, kept);
    const std::size_t at = border_.find(key_);
    if (at != std::string::npos) {
      return found_key(bytes, at + key_.size() - before);
    }
  }
  const std::size_t at = find_in(bytes, key_);
  if (at != std::string_view::npos) {
    return found_key(bytes, at + key_.size());
  }
  if (bytes.size() >= kept) {
    border_ = bytes.substr(bytes.size() - kept);
  } else if (border_.empty()) {
    border_ = bytes;
  } else if (border_.size() > kept) {
    border_.erase(0, border_.size() - kept);
  }
  bytes = {};
}

// After the key: a colon and the beginning of an object, or it was something else.
void UsageFinder::after_key(std::string_view& bytes) {
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
      read_object();
    }
    if (depth_ == 0 || text_.size() > kMaxObject) {
      state_ = State::Searching;
      return;
    }
  }
}

void UsageFinder::read_object() {
  const auto parsed = json::parse_object(text_);
  if (!parsed) {
    return;
  }
  for (const std::string_view name : {"prompt_tokens", "input_tokens"}) {  // the latter: responses, messages
    read_count(*parsed, name, usage_.prompt_tokens);
  }
  for (const std::string_view name : {"completion_tokens", "output_tokens"}) {
    read_count(*parsed, name, usage_.completion_tokens);
  }
  for (const std::string_view name : {"cached_tokens", "cache_read_input_tokens"}) {
    read_count(*parsed, name, usage_.cached_tokens);
  }
  for (const std::string_view name : {"prompt_tokens_details", "input_tokens_details"}) {
    const json::Value* details = parsed->if_contains(name);
    if (details != nullptr && details->is_object()) {
      read_count(details->as_object(), "cached_tokens", usage_.cached_tokens);
    }
  }
}

}  // namespace llmd::extproc
