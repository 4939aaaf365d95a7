// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): splitting a byte
// stream into events, and writing them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::http {

struct SseEvent {
  std::string event;  // empty: "message"
  std::string data;
  std::string id;
};

// Feed bytes as they come; get whole events. An event longer than the limit is resource_exhausted.
class SseParser {
 public:
  explicit SseParser(std::size_t max_event_bytes = 16 * 1024 * 1024) : limit_(max_event_bytes) {}
  Result<std::vector<SseEvent>> feed(std::string_view bytes);

 private:
  void line(std::string_view line, std::vector<SseEvent>& events);

  std::size_t limit_;
  std::string pending_;  // an unfinished line
  SseEvent current_;
  bool has_data_ = false;
  std::string last_id_;
  bool at_start_ = true;  // a byte order mark may come
};

// "data: <payload>\n\n"
std::string sse_data(std::string_view payload);

}  // namespace llmd::http
