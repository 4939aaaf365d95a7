// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): splitting a byte stream into
// events, and writing them.
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
  std::size_t limit_;
  std::string pending_;
};

// "data: <payload>\n\n"
std::string sse_data(std::string_view payload);

}  // namespace llmd::http
