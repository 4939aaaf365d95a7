#include "bench/stream_meter.h"

#include <algorithm>

namespace llmd::bench {

void StreamMeter::end_line(int& events) {
  if (line_.ends_with('\r')) {
    line_.pop_back();
  }
  if (line_.empty()) {
    if (event_has_data_) {
      event_is_done_ ? void(done_ = true) : void(++events);
    }
    event_has_data_ = false;
    event_is_done_ = false;
    return;
  }
  std::string_view line = line_;
  if (line.starts_with("data:")) {
    line.remove_prefix(5);
    line.remove_prefix(line.starts_with(' ') ? 1 : 0);
    event_has_data_ = true;
    event_is_done_ = line == "[DONE]";
    if (error_.empty() && line.substr(0, 32).find("\"error\"") != std::string_view::npos) {
      error_ = line;
    }
  }
  line_.clear();
}

int StreamMeter::feed(std::string_view bytes) {
  int events = 0;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    // Only the beginning of a long line matters, and whether it is empty.
    const std::size_t room = kKept - std::min(kKept, line_.size());
    line_.append(bytes.substr(0, std::min(end, room)));
    if (end == bytes.size()) {
      return events;
    }
    end_line(events);
    bytes.remove_prefix(end + 1);
  }
  return events;
}

}  // namespace llmd::bench
