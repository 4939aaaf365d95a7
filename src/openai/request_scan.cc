#include "openai/request_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "json/value.h"
#include "openai/blank.h"
#include "openai/quote_search.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kSlice = 16 * 1024;
constexpr std::size_t kLongestCapture = 4096;  // of a key or an interesting value; longer ones are not ours

// Unit by unit, so that it does not matter how the text arrives.
std::uint64_t folded(std::uint64_t hash, std::uint64_t unit) {
  hash = (hash ^ unit) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 32);
}

}  // namespace

RequestScan::Member RequestScan::member_called(std::string_view name) {
  static constexpr std::pair<std::string_view, Member> kMembers[] = {
      {"model", Member::Model},
      {"messages", Member::Prompt},
      {"prompt", Member::Prompt},
      {"stream", Member::Stream},
      {"input", Member::Prompt},
      {"tools", Member::Prompt},
      {"system", Member::Prompt},
      {"instructions", Member::Prompt},
      {"items", Member::Prompt},
      {"input_ids", Member::Prompt},
      {"token_ids", Member::Prompt},
      {"user", Member::User},
      {"cache_salt", Member::CacheSalt},
      {"owned_by", Member::OwnedBy},
      {"priority", Member::Priority},
      {"max_tokens", Member::MaxTokens},
      {"max_completion_tokens", Member::MaxTokens},
      {"max_output_tokens", Member::MaxTokens}};
  for (const auto& [known, member] : kMembers) {
    if (known == name) {
      return member;
    }
  }
  return Member::Other;
}

void RequestScan::hash(std::string_view bytes) {
  prompt_bytes_ += bytes.size();
  if (units_.size() < kMostUnits) {
    hasher_.feed(bytes, units_);
  }
}

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
    at = find_quote_or_backslash(bytes, at);
    if (at == bytes.size()) {
      break;
    }
    if (bytes[at++] == '"') {
      string_ended_ = true;
      return at;
    }
    escaped_ = true;
  }
  return at;
}

// The nested string that has just ended, if it is short; nullopt: it goes on, or is long.
std::optional<std::string_view> RequestScan::nested_text(std::string_view bytes, std::size_t begin,
                                                         std::size_t end) {
  constexpr std::size_t kEnough = kLongestMediaName + 2;  // with its quote a name is shorter
  nested_text_.append(bytes.substr(begin, std::min(end - begin, kEnough - nested_text_.size())));
  return string_ended_ ? std::optional(std::string_view(nested_text_.data(), nested_text_.size() - 1))
                       : std::nullopt;
}

// Kinds of content are short strings; only those are compared.
void RequestScan::look_at_nested_string(std::string_view bytes, std::size_t begin, std::size_t end) {
  const auto text = nested_text(bytes, begin, end);
  if (!text) {
    return;
  }
  if (multimodal_) {
    finder_.name(*text);
  } else if (means_media(*text)) {
    multimodal_ = true;
    finder_.restart();
    finder_.name(*text);
  }
}

// Its text begins at `at`.
void RequestScan::begin_nested_string(std::string_view bytes, std::size_t at) {
  nested_string_ = true;
  nested_text_.clear();
  const auto modality = multimodal_ && member_ == Member::Prompt && media_.size() < kMostMedia
                            ? finder_.string()
                            : std::nullopt;
  if (modality) {
    content_ = MediaContent{.modality = *modality, .begin = offset_ + at};
    hash(bytes.substr(unhashed_, at - unhashed_));
    unhashed_ = bytes.size();
  }
}

// A content is no text: its hash stands for it in the prompt, as often as makes it count.
void RequestScan::read_content(std::string_view bytes, std::size_t begin, std::size_t end) {
  const std::size_t text_end = string_ended_ ? end - 1 : end;
  content_hasher_.feed(bytes.substr(begin, text_end - begin), content_units_);
  if (string_ended_) {
    content_hasher_.finish(content_units_);
  }
  for (const std::uint64_t unit : content_units_) {
    content_->hash = folded(content_->hash, unit);
  }
  content_units_.clear();
  if (!string_ended_) {
    unhashed_ = end;
    return;
  }
  content_->end = offset_ + text_end;
  std::array<std::uint64_t, kMediaBytes / sizeof(std::uint64_t)> stands_for_it;
  stands_for_it.fill(content_->hash);
  hash({reinterpret_cast<const char*>(stands_for_it.data()), kMediaBytes});
  unhashed_ = text_end;
  if (content_->end > content_->begin) {
    media_.push_back(*content_);
  }
  content_.reset();
  finder_.content_ended();
}

std::size_t RequestScan::nested(std::string_view bytes, std::size_t at) {
  while (at < bytes.size()) {
    if (nested_string_) {
      const std::size_t begin = at;
      at = skip_string(bytes, at);
      nested_string_ = !string_ended_;
      if (content_) {
        read_content(bytes, begin, at);
      } else if (member_ == Member::Prompt) {
        look_at_nested_string(bytes, begin, at);
      }
      continue;
    }
    const char c = bytes[at++];
    if (c == '"') {
      begin_nested_string(bytes, at);
      continue;
    }
    if (multimodal_ && !is_blank(c)) {
      finder_.structure(c);
    }
    if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      end_value(offset_ + at);
      return at;
    }
  }
  return at;
}

void RequestScan::begin_value(char c, std::size_t position) {
  capture_ = is_captured();
  value_.clear();
  value_begin_ = position;
  depth_ = 0;
  if (c == '"') {
    state_ = State::InString;
  } else if (c == '{' || c == '[') {
    state_ = State::InNested;
    depth_ = 1;
    capture_ = false;
    finder_.restart();
  } else {
    state_ = State::InScalar;
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
    case Member::Prompt:
    case Member::Other:
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
  if (state_ == State::InNested) {
    return nested(bytes, at);
  }
  if (state_ == State::InString) {
    const std::size_t end = skip_string(bytes, at);
    if (capture_ && value_.size() + end - at <= kLongestCapture) {
      value_.append(bytes, at, end - at);
    } else {
      capture_ = false;
    }
    if (string_ended_) {
      end_value(offset_ + end);
    }
    return end;
  }
  const std::size_t begin = at;
  while (at < bytes.size() && !is_blank(bytes[at]) && bytes[at] != ',' && bytes[at] != '}') {
    ++at;
  }
  if (capture_ && value_.size() + at - begin <= kLongestCapture) {
    value_.append(bytes, begin, at - begin);
  }
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
    } else if (state_ == State::InString || state_ == State::InNested || state_ == State::InScalar) {
      unhashed_ = at;
      at = value_piece(bytes, at);
      if (member_ == Member::Prompt) {
        hash(bytes.substr(unhashed_, at - unhashed_));
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
  if (units_.size() < kMostUnits) {
    hasher_.finish(units_);
  }
  return state_ == State::End;
}

}  // namespace llmd::openai
