#include "picker/flowcontrol/drop_summary.h"

#include <fmt/format.h>

#include "base/log.h"

namespace llmd::picker {
namespace {

constexpr Duration kBetweenLines = std::chrono::seconds(10);

}  // namespace

void DropSummary::dropped(int priority, std::string_view reason, TimePoint now) {
  ++counts_[{priority, std::string(reason)}];
  ++total_;
  look(now);
}

void DropSummary::look(TimePoint now) {
  if (total_ > 0 && now >= quiet_until_) {
    quiet_until_ = now + kBetweenLines;
    flush();
  }
}

void DropSummary::flush() {
  if (total_ == 0) {
    return;
  }
  std::string by;
  for (const auto& [what, count] : counts_) {
    by += fmt::format("{}priority {} {}: {}", by.empty() ? "" : ", ", what.first, what.second, count);
  }
  log::warning("flow control dropped requests", {{"requests", total_}, {"by", by}});
  counts_.clear();
  total_ = 0;
}

}  // namespace llmd::picker
