// DropSummary: the log's share of what flow control refuses or gives up. One line for the first, then at most
// one every ten seconds with all that came since, by priority and reason: a pool that is full for an hour
// does not fill a disk. Called under flow control's lock.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace llmd::picker {

class DropSummary {
 public:
  // `reason` as in Rejection.
  void dropped(int priority, std::string_view reason, TimePoint now);
  // Time has passed: a line that is due is written.
  void look(TimePoint now);
  // Writes what is not written yet.
  void flush();

 private:
  std::map<std::pair<int, std::string>, std::uint64_t> counts_;  // since the last line
  std::uint64_t total_ = 0;                                      // of them
  TimePoint quiet_until_;
};

}  // namespace llmd::picker
