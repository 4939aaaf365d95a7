#include "picker/datalayer/page_share.h"

#include <cmath>

namespace llmd::picker {
namespace {

constexpr std::size_t kSmallPage = 8 * 1024;  // not worth a second thought
constexpr int kPartsInARow = 64;

std::uint32_t found_in(const EngineReport& report) {
  std::uint32_t found = report.adapters ? 1 : 0;
  const auto add = [&found](float value) { found = found << 1 | (std::isnan(value) ? 0U : 1U); };
  for (const float value :
       {report.waiting, report.running, report.kv_usage, report.block_tokens, report.blocks}) {
    add(value);
  }
  for (const float value : report.custom) {
    add(value);
  }
  return found;
}

}  // namespace

PageShare::Question PageShare::next() const {
  return state_ == State::Compared || state_ == State::Trusted ? Question::Part : Question::Whole;
}

void PageShare::answered(const EngineReport& report, std::size_t bytes) {
  const std::uint32_t found = found_in(report);
  if (next() == Question::Whole) {
    if (state_ == State::Unknown && bytes >= kSmallPage && found != 0) {
      state_ = State::Compared;
      found_ = found;
      whole_bytes_ = bytes;
      parts_ = 0;
    }
    return;
  }
  const bool is_as_good = (found & found_) == found_ && bytes < whole_bytes_ / 2;
  state_ = !is_as_good ? State::Refused : ++parts_ < kPartsInARow ? State::Trusted : State::Unknown;
}

void PageShare::failed() {
  // An exporter that does not like the question is not asked it again; any other may come back as another.
  state_ = state_ == State::Compared ? State::Refused : State::Unknown;
}

}  // namespace llmd::picker
