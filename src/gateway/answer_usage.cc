#include "gateway/answer_usage.h"

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

std::optional<std::int64_t> first_of(const json::Value& usage, std::string_view a, std::string_view b) {
  const auto found = json::int_at(usage, a);
  return found ? found : json::int_at(usage, b);
}

}  // namespace

picker::Usage usage_in(std::string_view tail) {
  constexpr std::string_view kName = "\"usage\"";
  for (std::size_t at = tail.rfind(kName); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : tail.rfind(kName, at - 1)) {
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
  return {};
}

}  // namespace llmd::gateway
