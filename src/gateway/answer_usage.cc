#include "gateway/answer_usage.h"

#include <cstring>

#include "json/path.h"
#include "json/value.h"

namespace llmd::gateway {
namespace {

// The object that begins at `text`, with its braces; empty when its end is not there.
std::string_view object_at_front(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      at += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return text.substr(0, at + 1);
    }
  }
  return {};
}

constexpr std::string_view kName = "\"usage\"";

// Where the name stands last in the text. Every answer is searched, most have no such name, and quotes are
// everywhere in them: its least common letter leads to it.
std::size_t last_name(std::string_view text) {
  constexpr std::size_t kLetter = kName.find('g');
  while (const void* found = text.empty() ? nullptr : ::memrchr(text.data(), kName[kLetter], text.size())) {
    const auto letter = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    const std::string_view end = text.substr(letter);
    if (letter >= kLetter && end.starts_with(kName.substr(kLetter)) &&
        text.substr(0, letter).ends_with(kName.substr(0, kLetter))) {
      return letter - kLetter;
    }
    text = text.substr(0, letter);
  }
  return std::string_view::npos;
}

std::optional<std::int64_t> first_of(const json::Value& usage, std::string_view a, std::string_view b) {
  const auto found = json::int_at(usage, a);
  return found ? found : json::int_at(usage, b);
}

}  // namespace

picker::Usage usage_in(std::string_view tail) {
  std::size_t end = tail.size();
  while (true) {
    const std::size_t at = last_name(tail.substr(0, end));
    if (at == std::string_view::npos) {
      return {};
    }
    end = at;
    const std::size_t begin = tail.find_first_not_of(" \t\r\n:", at + kName.size());
    if (begin == std::string_view::npos || tail[begin] != '{') {
      continue;  // null, in the chunks before the last
    }
    const auto usage = json::parse(object_at_front(tail.substr(begin)));
    if (!usage) {
      continue;
    }
    const auto cached =
        first_of(*usage, "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens");
    return {.prompt_tokens = first_of(*usage, "prompt_tokens", "input_tokens"),
            .completion_tokens = first_of(*usage, "completion_tokens", "output_tokens"),
            .cached_tokens = cached ? cached : json::int_at(*usage, "cache_read_input_tokens")};
  }
}

}  // namespace llmd::gateway
