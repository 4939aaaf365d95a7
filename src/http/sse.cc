#include "http/sse.h"

#include <optional>

namespace llmd::http {
namespace {

// Splits off one line with its end (LF, CR LF or CR). A CR at the very end waits for what follows it.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find_first_of("\r\n");
  if (end == std::string_view::npos || (text[end] == '\r' && end + 1 == text.size())) {
    return std::nullopt;
  }
  const std::string_view line = text.substr(0, end);
  const bool two = text[end] == '\r' && text[end + 1] == '\n';
  text.remove_prefix(end + (two ? 2 : 1));
  return line;
}

}  // namespace

void SseParser::line(std::string_view line, std::vector<SseEvent>& events) {
  if (line.empty()) {
    if (has_data_) {
      current_.data.pop_back();  // the line feed after the last data line
      current_.id = last_id_;
      events.push_back(std::move(current_));
    }
    current_ = {};
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) {
    value.remove_prefix(1);
  }
  if (field == "data") {
    current_.data += value;
    current_.data += '\n';
    has_data_ = true;
  } else if (field == "event") {
    current_.event = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

Result<std::vector<SseEvent>> SseParser::feed(std::string_view bytes) {
  pending_ += bytes;
  std::string_view rest = pending_;
  if (at_start_ && rest.size() >= 3) {
    at_start_ = false;
    if (rest.starts_with("\xEF\xBB\xBF")) {
      rest.remove_prefix(3);
    }
  } else if (at_start_ && std::string_view("\xEF\xBB\xBF").starts_with(rest)) {
    return std::vector<SseEvent>();
  }
  std::vector<SseEvent> events;
  while (const auto next = take_line(rest)) {
    at_start_ = false;
    line(*next, events);
    if (current_.data.size() > limit_) {
      return resource_exhausted("server-sent event: more than {} bytes", limit_);
    }
  }
  pending_.erase(0, pending_.size() - rest.size());
  if (pending_.size() > limit_) {
    return resource_exhausted("server-sent event: more than {} bytes", limit_);
  }
  return events;
}

std::string sse_data(std::string_view payload) {
  std::string event = "data: ";
  event += payload;
  event += "\n\n";
  return event;
}

}  // namespace llmd::http
