// The part of the scan that reads prompts: their texts, tokens and media.
#include <algorithm>
#include <array>
#include <utility>

#include "openai/blank.h"
#include "openai/quote_search.h"
#include "openai/request_scan.h"
#include "openai/signature.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kTokenBytes = sizeof(std::uint32_t);

// Unit by unit, so that it does not matter how the text arrives.
std::uint64_t folded(std::uint64_t hash, std::uint64_t unit) {
  hash = (hash ^ unit) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 32);
}

}  // namespace

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

// The beginning of the nested string that has just ended, longer than any name if it is long; nullopt: it
// goes on.
std::optional<std::string_view> RequestScan::nested_text(std::string_view bytes, std::size_t begin,
                                                         std::size_t end) {
  constexpr std::size_t kEnough = kLongestMediaName + 1;
  const std::size_t text_end = string_ended_ ? end - 1 : end;
  if (string_ended_ && nested_text_.empty()) {  // it lies in one piece
    return bytes.substr(begin, std::min(text_end - begin, kEnough));
  }
  nested_text_.append(bytes.substr(begin, std::min(text_end - begin, kEnough - nested_text_.size())));
  return string_ended_ ? std::optional<std::string_view>(nested_text_) : std::nullopt;
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
    if (!means && !may_mean_source(*text, depth_)) {
      return;
    }
    watches_ = true;
    finder_.restart(depth_);
  }
  finder_.name(*text);
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

inline std::size_t RequestScan::nested_string(std::string_view bytes, std::size_t at) {
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
  bool goes_on = bytes[at] != '{' || token_digits_ > 0;  // messages, the usual case, do not
  for (; at < bytes.size() && goes_on; ++at) {
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
  if (goes_on) {
    return at;
  }
  text_seen_ = true;
  state_ = State::InNested;
  finder_.restart(depth_);
  if (bytes[at] == '"') {  // of the first of several texts
    unhashed_ = ++at;
    begin_nested_string(bytes, at);
  }
  return nested(bytes, at);
}

}  // namespace llmd::openai
