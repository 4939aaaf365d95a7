#include "openai/request_scan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "json/path.h"
#include "json/value.h"
#include "openai/blank.h"
#include "openai/quote_search.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kSlice = 16 * 1024;
constexpr std::size_t kLongestCapture = 4096;  // of a key or an interesting value; longer ones are not ours
constexpr std::size_t kTokenBytes = sizeof(std::uint32_t);
// How the block begins in which Claude Code signs its requests.
constexpr std::string_view kSignature = "x-anthropic-billing-header";

// Unit by unit, so that it does not matter how the text arrives.
std::uint64_t folded(std::uint64_t hash, std::uint64_t unit) {
  hash = (hash ^ unit) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 32);
}

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

void RequestScan::hash(std::string_view bytes) {
  prompt_bytes_ += bytes.size();
  if (units_.size() < kMostUnits) {
    hasher_.feed(bytes, units_);
  }
}

void RequestScan::end_part() {
  if (units_.size() < kMostUnits) {
    hasher_.finish(units_);
  }
  if (units_.size() == part_.end) {
    return;
  }
  if (part_.end > 0) {  // most prompts have one part only
    parts_.push_back(part_);
  }
  part_ = {member_, part_.end, units_.size()};
}

void RequestScan::order_parts() {
  if (parts_.empty()) {
    return;
  }
  std::vector<Part> parts = std::exchange(parts_, {});
  parts.push_back(std::exchange(part_, {.end = units_.size()}));
  if (std::ranges::is_sorted(parts, {}, &Part::member)) {
    return;
  }
  std::ranges::sort(parts, {}, [](const Part& part) { return std::pair(part.member, part.begin); });
  std::vector<std::uint64_t> ordered;
  ordered.reserve(units_.size());
  for (const Part& part : parts) {
    ordered.insert(ordered.end(), units_.begin() + static_cast<std::ptrdiff_t>(part.begin),
                   units_.begin() + static_cast<std::ptrdiff_t>(part.end));
  }
  units_ = std::move(ordered);
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
  const bool means = means_media(*text);
  multimodal_ = multimodal_ || means;
  if (!watches_) {
    watches_ = means || may_mean_source(*text, depth_);
    finder_.restart(depth_);
  }
  if (watches_) {
    finder_.name(*text);
  }
}

// Of the block that is left out nothing is hashed; of others what was held back is: it is known.
void RequestScan::look_for_signature(std::string_view bytes, std::size_t begin, std::size_t end) {
  std::size_t& seen = *signature_;
  const std::size_t text_end = string_ended_ ? end - 1 : end;
  const std::size_t compared = std::min(kSignature.size() - seen, text_end - begin);
  const bool equal = bytes.substr(begin, compared) == kSignature.substr(seen, compared);
  if (equal && (seen + compared == kSignature.size() || !string_ended_)) {
    seen += compared;
    unhashed_ = text_end;
  } else {
    hash(kSignature.substr(0, seen));
    unhashed_ = begin;
    signature_.reset();
  }
}

void RequestScan::begin_content(std::size_t position, std::optional<Modality> modality) {
  content_ = MediaContent{.modality = modality.value_or(Modality::Image), .begin = position};
  content_is_media_ = modality.has_value();
  multimodal_ = multimodal_ || content_is_media_;
}

// Its text begins at `at`.
void RequestScan::begin_nested_string(std::string_view bytes, std::size_t at) {
  nested_string_ = true;
  nested_text_.clear();
  signature_.reset();
  const bool has_room = media_.size() < kMostMedia;
  const auto modality = watches_ && may_hold_media() && has_room ? finder_.string() : std::nullopt;
  if (modality || member_ == Member::Embeds) {
    begin_content(offset_ + at, modality);
  } else if (member_ == Member::System) {
    signature_ = 0;
  } else {
    return;
  }
  hash(bytes.substr(unhashed_, at - unhashed_));
  unhashed_ = at;
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
  if (content_is_media_ && content_->end > content_->begin) {
    media_.push_back(*content_);
  }
  content_.reset();
  finder_.content_ended();
}

void RequestScan::capture(std::string_view bytes, std::size_t begin, std::size_t end) {
  capture_ = capture_ && value_.size() + end - begin <= kLongestCapture;
  if (capture_) {
    value_.append(bytes, begin, end - begin);
  }
}

std::size_t RequestScan::nested_string(std::string_view bytes, std::size_t at) {
  const std::size_t begin = at;
  at = skip_string(bytes, at);
  nested_string_ = !string_ended_;
  if (content_) {
    read_content(bytes, begin, at);
  } else if (may_hold_media()) {
    look_at_nested_string(bytes, begin, at);
  } else if (signature_) {
    look_for_signature(bytes, begin, at);
  }
  return at;
}

std::size_t RequestScan::nested(std::string_view bytes, std::size_t at) {
  const std::size_t begin = at;
  while (at < bytes.size()) {
    if (nested_string_) {
      at = nested_string(bytes, at);
      continue;
    }
    const char c = bytes[at++];
    if (c == '"') {
      begin_nested_string(bytes, at);
      continue;
    }
    if (watches_ && !is_blank(c)) {
      finder_.structure(c);
    }
    if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      capture(bytes, begin, at);
      end_value(offset_ + at);
      return at;
    }
  }
  capture(bytes, begin, at);
  return at;
}

// The number that has just ended, if one has. False: it is no token.
bool RequestScan::end_token() {
  const bool is_token = token_ <= UINT32_MAX;
  if (token_digits_ > 0 && is_token) {
    if (tokens_.size() < kMostTokens) {
      tokens_.push_back(static_cast<std::uint32_t>(token_));
    } else {
      text_seen_ = true;  // nobody wants the beginning only
    }
  }
  token_ = 0;
  token_digits_ = 0;
  return is_token;
}

void RequestScan::hash_tokens(std::size_t first) {
  if (tokens_.size() > first) {
    hash({reinterpret_cast<const char*>(tokens_.data() + first), (tokens_.size() - first) * kTokenBytes});
  }
}

// A list in the prompt, of token ids or of lists of them until something else comes: then nested() reads on.
// The brackets of a list with several prompts count as nothing, so that the first one looks as if alone.
std::size_t RequestScan::list(std::string_view bytes, std::size_t at) {
  constexpr int kMostDigits = 10;
  const std::size_t first = tokens_.size();
  bool goes_on = true;
  for (; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (c >= '0' && c <= '9' && token_digits_ < kMostDigits) {
      token_ = token_ * 10 + static_cast<std::uint64_t>(c - '0');
      ++token_digits_;
      continue;
    }
    goes_on = end_token() && (is_blank(c) || c == ',' || c == '[' || c == ']');
    if (!goes_on) {
      break;
    }
    depth_ += c == '[' ? 1 : 0;
    if (c == ']' && --depth_ == 0) {
      hash_tokens(first);
      unhashed_ = at + 1;
      end_value(offset_ + at + 1);
      return at + 1;
    }
  }
  hash_tokens(first);
  unhashed_ = at;
  if (!goes_on) {
    text_seen_ = true;
    state_ = State::InNested;
    finder_.restart(depth_);
    if (bytes[at] == '"') {  // of the first of several texts
      unhashed_ = ++at;
      begin_nested_string(bytes, at);
    }
  }
  return at;
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
    text_seen_ = text_seen_ || (in_prompt() && state_ == State::InNested);
    finder_.restart(depth_);
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
  end_part();
  order_parts();
  return state_ == State::End;
}

}  // namespace llmd::openai
