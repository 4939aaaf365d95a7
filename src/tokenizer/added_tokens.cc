#include "tokenizer/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

namespace llmd::tokenizer {
namespace {

utf8proc_int32_t code_point_at(std::string_view text, std::size_t at) {
  utf8proc_int32_t code_point = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                   static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
  return code_point;
}

std::size_t start_of_previous(std::string_view text, std::size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool is_word(utf8proc_int32_t c) {
  const auto category = utf8proc_category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO) ||
         category == UTF8PROC_CATEGORY_PC;
}

bool is_space(utf8proc_int32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty())
    return;
  std::uint32_t node = 0;
  for (const char c : token.content) {
    auto& children = nodes_[node].children;
    const auto child = std::ranges::find(children, c, &std::pair<char, std::uint32_t>::first);
    if (child != children.end()) {
      node = child->second;
    } else {
      const auto created = static_cast<std::uint32_t>(nodes_.size());
      children.emplace_back(c, created);
      nodes_.emplace_back();
      node = created;
    }
  }
  begins_[static_cast<unsigned char>(token.content[0])] = true;
  nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

std::optional<AddedTokens::Match> AddedTokens::match_at(std::string_view text, std::size_t at,
                                                        bool parse_special) const {
  const AddedToken* best = nullptr;
  std::uint32_t node = 0;
  for (auto i = at; i < text.size(); ++i) {
    const auto& children = nodes_[node].children;
    const auto child = std::ranges::find(children, text[i], &std::pair<char, std::uint32_t>::first);
    if (child == children.end())
      break;
    node = child->second;
    if (nodes_[node].token < 0)
      continue;
    const auto& token = tokens_[static_cast<std::size_t>(nodes_[node].token)];
    if (!token.special || parse_special)
      best = &token;
  }
  if (best == nullptr)
    return std::nullopt;
  Match match{at, at + best->content.size(), best->id};
  if (best->single_word) {
    const bool word_before = at > 0 && is_word(code_point_at(text, start_of_previous(text, at)));
    const bool word_behind = match.end < text.size() && is_word(code_point_at(text, match.end));
    if (word_before || word_behind)
      return std::nullopt;
  }
  while (best->rstrip && match.end < text.size() && is_space(code_point_at(text, match.end))) {
    do {
      ++match.end;
    } while (match.end < text.size() && (static_cast<unsigned char>(text[match.end]) & 0xC0) == 0x80);
  }
  while (best->lstrip && match.begin > 0) {
    const auto previous = start_of_previous(text, match.begin);
    if (!is_space(code_point_at(text, previous)))
      break;
    match.begin = previous;
  }
  return match;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, std::size_t from,
                                                    bool parse_special) const {
  if (tokens_.empty())
    return std::nullopt;
  for (auto at = from; at < text.size(); ++at) {
    if (!begins_[static_cast<unsigned char>(text[at])])
      continue;
    if (auto match = match_at(text, at, parse_special)) {
      match->begin = std::max(match->begin, from);
      return match;
    }
  }
  return std::nullopt;
}

}  // namespace llmd::tokenizer
