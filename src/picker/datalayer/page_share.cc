#include "picker/datalayer/page_share.h"

#include <cmath>

namespace llmd::picker {
namespace {

constexpr std::size_t kSmallPage = 8 * 1024;  // not worth a second thought
constexpr int kPartsInARow = 64;

bool is_told(float number) {
  return !std::isnan(number);
}

bool is_empty(const EngineReport& report) {
  return !report.adapters && !is_told(report.waiting) && !is_told(report.running) &&
         !is_told(report.kv_usage) && !is_told(report.block_tokens) && !is_told(report.blocks) &&
         report.custom.empty();
}

// Everything that the whole page tells, whatever the numbers are by now.
bool tells_all(const EngineReport& part, const EngineReport& whole) {
  const auto keeps = [](float in_part, float in_whole) { return is_told(in_part) || !is_told(in_whole); };
  bool all = (part.adapters || !whole.adapters) && keeps(part.waiting, whole.waiting) &&
             keeps(part.running, whole.running) && keeps(part.kv_usage, whole.kv_usage) &&
             keeps(part.block_tokens, whole.block_tokens) && keeps(part.blocks, whole.blocks);
  for (std::size_t slot = 0; slot < whole.custom.size(); ++slot) {
    all = all && keeps(part.custom[slot], whole.custom[slot]);
  }
  return all;
}

}  // namespace

PageShare::Question PageShare::next() const {
  return state_ == State::Compared || state_ == State::Trusted ? Question::Part : Question::Whole;
}

void PageShare::answered(const EngineReport& report, std::size_t bytes) {
  if (next() == Question::Whole) {
    if (state_ == State::Unknown && bytes >= kSmallPage && !is_empty(report)) {
      state_ = State::Compared;
      whole_ = report;
      whole_bytes_ = bytes;
      parts_ = 0;
    }
    return;
  }
  const bool is_as_good = tells_all(report, whole_) && bytes < whole_bytes_ / 2;
  state_ = !is_as_good ? State::Refused : ++parts_ < kPartsInARow ? State::Trusted : State::Unknown;
}

void PageShare::failed() {
  // An exporter that does not like the question is not asked it again; any other may come back as another.
  state_ = state_ == State::Compared ? State::Refused : State::Unknown;
}

}  // namespace llmd::picker
