#include "openai/request_scan.h"

#include <algorithm>

#include "base/strings.h"
#include "json/path.h"
#include "json/value.h"
#include "openai/blank.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kSlice = 16 * 1024;
constexpr std::size_t kLongestCapture = 4096;  // of a key or an interesting value; longer ones are not ours

}  // namespace

RequestScan::Member RequestScan::member_called(std::string_view name) {
  static constexpr std::pair<std::string_view, Member> kMembers[] = {
      // the frequent ones first
      {"model", Member::Model},
      {"messages", Member::Turns},
      {"prompt", Member::Turns},
      {"stream", Member::Stream},
      {"max_tokens", Member::MaxTokens},
      {"max_completion_tokens", Member::MaxTokens},
      {"tools", Member::Tools},
      {"system", Member::System},
      {"input", Member::Turns},
      {"instructions", Member::System},
      {"user", Member::User},
      {"max_output_tokens", Member::MaxTokens},
      {"token_ids", Member::Turns},
      {"input_ids", Member::Turns},
      {"sampling_params", Member::Sampling},
      {"features", Member::Features},
      {"cache_salt", Member::CacheSalt},
      {"extra_key", Member::CacheSalt},
      {"owned_by", Member::OwnedBy},
      {"priority", Member::Priority},
      {"previous_response_id", Member::Past},
      {"conversation", Member::Past},
      {"query", Member::Query},
      {"queries", Member::Query},
      {"text_1", Member::Query},
      {"documents", Member::Documents},
      {"text_2", Member::Documents},
      {"items", Member::Turns},
      {"prompt_embeds", Member::Embeds}};
  for (const auto& [known, member] : kMembers) {
    if (known == name) {
      return member;
    }
  }
  return Member::Other;
}

void RequestScan::capture(std::string_view bytes, std::size_t begin, std::size_t end) {
  capture_ = capture_ && value_.size() + end - begin <= kLongestCapture;
  if (capture_) {
    value_.append(bytes, begin, end - begin);
  }
}

void RequestScan::begin_value(char c, std::size_t position) {
  capture_ = is_captured();
  value_.clear();
  value_begin_ = position;
  depth_ = 0;
  token_ = 0;
  token_digits_ = 0;
  if (c == '"') {
    state_ = State::InString;
    text_seen_ = text_seen_ || in_prompt();
    if (member_ == Member::Embeds) {
      begin_content(position + 1, std::nullopt);
    }
  } else if (c == '{' || c == '[') {
    state_ = c == '[' && member_ == Member::Turns ? State::InList : State::InNested;
    depth_ = 1;
    capture_ = member_ == Member::Sampling;
    if (state_ == State::InNested && in_prompt()) {
      text_seen_ = true;
      finder_.restart(depth_);
    }
  } else {
    state_ = State::InScalar;
    member_ = in_prompt() ? Member::Other : member_;  // null
    capture_ = capture_ && is_captured();
  }
}

// The captured value as a string, unescaped; nullopt when it is none.
std::optional<std::string> RequestScan::text_value() const {
  if (!capture_ || !value_.starts_with('"')) {
    return std::nullopt;
  }
  if (!value_.contains('\\')) {
    return value_.substr(1, value_.size() - 2);
  }
  const auto parsed = json::parse(value_);
  if (!parsed || !parsed->is_string()) {
    return std::nullopt;
  }
  return std::string(std::string_view(parsed->get_string()));
}

// Where token ids come in, the limit stands among the sampling parameters.
void RequestScan::read_sampling() {
  const auto parsed = capture_ ? json::parse_object(value_) : Result<json::Object>(json::Object());
  for (const std::string_view name : {"max_tokens", "max_new_tokens"}) {
    const json::Value* const found = parsed ? parsed->if_contains(name) : nullptr;
    if (const auto number = found != nullptr ? json::as_integer(*found) : std::nullopt) {
      max_tokens_ = *number;
    }
  }
}

void RequestScan::end_value(std::size_t end) {
  state_ = State::AfterValue;
  const auto integer = [this]() -> std::optional<std::int64_t> {
    const auto number = capture_ ? parse_integer(value_) : std::nullopt;
    return number ? std::optional<std::int64_t>(*number) : std::nullopt;
  };
  switch (member_) {
    case Member::Stream:
      stream_ = capture_ && value_ == "true";
      break;
    case Member::Model:
      model_ = text_value();
      model_position_ = model_ ? std::optional(Position{value_begin_, end}) : std::nullopt;
      break;
    case Member::User:
      user_ = text_value();
      break;
    case Member::CacheSalt:
      cache_salt_ = text_value();
      break;
    case Member::OwnedBy:
      owned_by_ = text_value();
      break;
    case Member::Priority:
      priority_ = integer();
      break;
    case Member::MaxTokens:
      max_tokens_ = integer();
      break;
    case Member::Sampling:
      read_sampling();
      break;
    case Member::Features:
      has_features_ = !capture_;  // an object
      break;
    default:
      break;
  }
}

void RequestScan::end_key() {
  const auto closing = key_.size() - 1;
  if (key_.contains('\\')) {
    const auto parsed = json::parse(key_);
    key_ =
        parsed && parsed->is_string() ? std::string(std::string_view(parsed->get_string())) : std::string();
    member_ = member_called(key_);
  } else {
    member_ =
        key_.ends_with('"') ? member_called(std::string_view(key_).substr(1, closing - 1)) : Member::Other;
  }
  state_ = State::Colon;
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

// Reads on in a value; returns where it ends, or the end of the piece.
std::size_t RequestScan::value_piece(std::string_view bytes, std::size_t at) {
  if (state_ == State::InList) {
    return list(bytes, at);
  }
  if (state_ == State::InNested) {
    return nested(bytes, at);
  }
  if (state_ == State::InString) {
    const std::size_t end = skip_string(bytes, at);
    if (content_) {
      read_content(bytes, at, end);
    }
    capture(bytes, at, end);
    if (string_ended_) {
      end_value(offset_ + end);
    }
    return end;
  }
  const std::size_t begin = at;
  while (at < bytes.size() && !is_blank(bytes[at]) && bytes[at] != ',' && bytes[at] != '}') {
    ++at;
  }
  capture(bytes, begin, at);
  if (at < bytes.size()) {
    end_value(offset_ + at);
  }
  return at;
}

// In slices that are still in the first-level cache when they are hashed.
void RequestScan::feed(std::string_view bytes) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(kSlice, bytes.size()))) {
    feed_slice(bytes.substr(0, kSlice));
  }
}

void RequestScan::feed_slice(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::Bad) {
    if (state_ == State::InKey) {
      const std::size_t end = skip_string(bytes, at);
      if (key_.size() + end - at <= kLongestCapture) {
        key_.append(bytes, at, end - at);
      }
      at = end;
      if (string_ended_) {
        end_key();
      }
    } else if (is_in_value()) {
      unhashed_ = at;
      at = value_piece(bytes, at);
      if (in_prompt()) {
        hash(bytes.substr(unhashed_, at - unhashed_));
        if (!is_in_value()) {
          end_part();
        }
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
  if (is_in_value()) {
    end_part();
  }
  order_parts();
  return state_ == State::End;
}

}  // namespace llmd::openai
