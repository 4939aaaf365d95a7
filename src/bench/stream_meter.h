// Counts the events of a server-sent stream as its bytes arrive, without building them: the load generator
// must cost less than what it measures. Understands as much as is needed: data events, the closing [DONE], an
// error object.
#pragma once

#include <string>
#include <string_view>

namespace llmd::bench {

class StreamMeter {
 public:
  // Returns how many data events (other than [DONE]) ended in these bytes.
  int feed(std::string_view bytes);

  bool done() const { return done_; }
  // The payload of the first event that carries an error; empty if none did.
  const std::string& error() const { return error_; }

 private:
  void end_line(int& events);

  static constexpr std::size_t kKept = 512;  // of a line's beginning
  std::string line_;
  bool event_has_data_ = false;
  bool event_is_done_ = false;
  bool done_ = false;
  std::string error_;
};

}  // namespace llmd::bench
