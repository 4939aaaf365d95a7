#include "tokenizer/pipeline.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace llmd::tokenizer {
namespace {

struct Segment {
  Range range;
  bool is_match;
};

// The whole text as matches and the gaps between them; empty ones are left out.
void segments_of(std::string_view text, const Regex& regex, bool invert, std::vector<Range>& matches,
                 std::vector<Segment>& out) {
  matches.clear();
  out.clear();
  regex.matches(text, matches);
  std::size_t at = 0;
  for (const auto& match : matches) {
    if (match.begin > at)
      out.push_back({{at, match.begin}, invert});
    if (match.end > match.begin)
      out.push_back({match, !invert});
    at = match.end;
  }
  if (at < text.size())
    out.push_back({{at, text.size()}, invert});
}

void combine(std::vector<Segment>& segments, SplitBehaviour behaviour) {
  if (behaviour == SplitBehaviour::Isolated)
    return;
  if (behaviour == SplitBehaviour::Removed) {
    std::erase_if(segments, [](const Segment& segment) { return segment.is_match; });
    return;
  }
  std::vector<Segment> joined;
  for (const auto& segment : segments) {
    const bool has_last = !joined.empty();
    bool join = false;
    switch (behaviour) {
      case SplitBehaviour::MergedWithPrevious:
        join = has_last && segment.is_match && !joined.back().is_match;
        break;
      case SplitBehaviour::MergedWithNext:
        join = has_last && joined.back().is_match && !segment.is_match;
        break;
      default:
        join = has_last && joined.back().is_match == segment.is_match;
    }
    if (join) {
      joined.back().range.end = segment.range.end;
      // What has absorbed its match takes no second one.
      if (behaviour != SplitBehaviour::Contiguous)
        joined.back().is_match = behaviour == SplitBehaviour::MergedWithPrevious;
    } else {
      joined.push_back(segment);
    }
  }
  segments = std::move(joined);
}

}  // namespace

void PreTokenizer::add_split(Regex regex, SplitBehaviour behaviour, bool invert) {
  steps_.push_back({std::move(regex), behaviour, invert});
}

void PreTokenizer::add_prefix_space() {
  steps_.push_back({});
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text,
                                                  std::deque<std::string>& storage) const {
  std::vector<std::string_view> words;
  if (!text.empty())
    words.push_back(text);
  std::vector<std::string_view> next;
  std::vector<Range> matches;
  std::vector<Segment> segments;
  for (const auto& step : steps_) {
    next.clear();
    for (const auto word : words) {
      if (step.regex) {
        segments_of(word, *step.regex, step.invert, matches, segments);
        combine(segments, step.behaviour);
        for (const auto& segment : segments)
          next.push_back(word.substr(segment.range.begin, segment.range.end - segment.range.begin));
      } else if (word.starts_with(' ')) {
        next.push_back(word);
      } else {
        next.push_back(storage.emplace_back(" " + std::string(word)));
      }
    }
    words.swap(next);
  }
  return words;
}

std::string Normalizer::apply(std::string text) const {
  for (const auto& step : steps_)
    text = step(std::move(text));
  return text;
}

std::string unicode_normalized(std::string text, Form form) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
    return text;
  unsigned options =
      UTF8PROC_STABLE | (form == Form::Nfc || form == Form::Nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (form == Form::Nfkc || form == Form::Nfkd)
    options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* result = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &result,
                                 static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(result, &std::free);
  return size < 0 ? std::move(text)
                  : std::string(reinterpret_cast<const char*>(result), static_cast<std::size_t>(size));
}

std::string lower_case(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    utf8proc_int32_t code_point = 0;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + i),
                                       static_cast<utf8proc_ssize_t>(text.size() - i), &code_point);
    if (size <= 0) {
      out += text[i++];
      continue;
    }
    utf8proc_uint8_t bytes[4];
    const auto length = utf8proc_encode_char(utf8proc_tolower(code_point), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
    i += static_cast<std::size_t>(size);
  }
  return out;
}

}  // namespace llmd::tokenizer
