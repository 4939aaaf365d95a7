#include "openai/request_scan.h"

#include <cstring>

#include "json/value.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kLongestCapture = 4096;  // of a key or an interesting value; longer ones are not ours

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

// Goes to the byte after the closing quote, or to the end. Prompts are nearly all string: this loop is the
// cost.
std::size_t RequestScan::skip_string(std::string_view bytes, std::size_t at) {
  string_ended_ = false;
  while (at < bytes.size()) {
    if (escaped_) {
      escaped_ = false;
      ++at;
      continue;
    }
    const void* quote = std::memchr(bytes.data() + at, '"', bytes.size() - at);
    const std::size_t stop = quote != nullptr
                                 ? static_cast<std::size_t>(static_cast<const char*>(quote) - bytes.data())
                                 : bytes.size();
    // A backslash before the quote decides whether it is one; count the run that ends there.
    const void* backslash = std::memchr(bytes.data() + at, '\\', stop - at);
    if (backslash != nullptr) {
      at = static_cast<std::size_t>(static_cast<const char*>(backslash) - bytes.data()) + 1;
      escaped_ = true;
      continue;
    }
    if (quote == nullptr) {
      return bytes.size();
    }
    string_ended_ = true;
    return stop + 1;
  }
  return at;
}

std::size_t RequestScan::nested(std::string_view bytes, std::size_t at) {
  while (at < bytes.size()) {
    if (nested_string_) {
      at = skip_string(bytes, at);
      nested_string_ = !string_ended_;
      continue;
    }
    const char c = bytes[at++];
    if (c == '"') {
      nested_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      end_value(offset_ + at);
      return at;
    }
  }
  return at;
}

void RequestScan::begin_value(char c, std::size_t position) {
  capture_ = interesting();
  value_.clear();
  value_begin_ = position;
  depth_ = 0;
  if (c == '"') {
    state_ = State::InString;
  } else if (c == '{' || c == '[') {
    state_ = State::InNested;
    depth_ = 1;
    capture_ = false;
  } else {
    state_ = State::InScalar;
  }
}

void RequestScan::end_value(std::size_t end) {
  state_ = State::AfterValue;
  if (key_ == "stream") {
    stream_ = capture_ && value_ == "true";
  } else if (key_ == "model") {
    model_.reset();
    model_position_.reset();
    if (capture_ && value_.starts_with('"')) {
      const auto parsed = json::parse(value_);
      if (parsed && parsed->is_string()) {
        model_ = std::string(std::string_view(parsed->get_string()));
        model_position_ = Position{value_begin_, end};
      }
    }
  }
}

// One step from `at`; returns where to go on.
std::size_t RequestScan::step(std::string_view bytes, std::size_t at) {
  const char c = bytes[at];
  switch (state_) {
    case State::Start:
      state_ = c == '{' ? State::KeyOrEnd : State::Bad;
      return at + 1;
    case State::KeyOrEnd:
      if (c == '}') {
        state_ = State::End;
        return at + 1;
      }
      [[fallthrough]];
    case State::Key:
      state_ = c == '"' ? State::InKey : State::Bad;
      key_ = "\"";
      return at + 1;
    case State::Colon:
      state_ = c == ':' ? State::Value : State::Bad;
      return at + 1;
    case State::Value:
      begin_value(c, offset_ + at);
      if (capture_) {
        value_ += c;
      }
      return at + 1;
    case State::AfterValue:
      state_ = c == ',' ? State::Key : c == '}' ? State::End : State::Bad;
      return at + 1;
    case State::End:
      state_ = State::Bad;  // something after the object
      return at + 1;
    default:
      return bytes.size();
  }
}

void RequestScan::feed(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::Bad) {
    if (state_ == State::InKey || state_ == State::InString) {
      const std::size_t end = skip_string(bytes, at);
      std::string& captured = state_ == State::InKey ? key_ : value_;
      if ((state_ == State::InKey || capture_) && captured.size() + end - at <= kLongestCapture) {
        captured.append(bytes, at, end - at);
      } else {
        capture_ = false;
      }
      at = end;
      if (string_ended_ && state_ == State::InKey) {
        const auto parsed = json::parse(key_);
        key_ = parsed && parsed->is_string() ? std::string(std::string_view(parsed->get_string()))
                                             : std::string();
        state_ = State::Colon;
      } else if (string_ended_) {
        end_value(offset_ + at);
      }
    } else if (state_ == State::InNested) {
      at = nested(bytes, at);
    } else if (state_ == State::InScalar) {
      const char c = bytes[at];
      if (is_blank(c) || c == ',' || c == '}') {
        end_value(offset_ + at);
      } else {
        if (capture_ && value_.size() < kLongestCapture) {
          value_ += c;
        }
        ++at;
      }
    } else if (is_blank(bytes[at])) {
      ++at;
    } else {
      at = step(bytes, at);
    }
  }
  offset_ += bytes.size();
}

bool RequestScan::finish() {
  return state_ == State::End;
}

}  // namespace llmd::openai
