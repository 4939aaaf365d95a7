#include "kvcache/prefix_check.h"

#include <algorithm>
#include <numeric>

namespace llmd::kvcache {
namespace {

constexpr double kWeightOfOneSample = 0.1;  // in the moving average
constexpr std::uint32_t kReportsForBlockSize = 8;
constexpr std::uint32_t kSmallestBlockSize = 4;  // a smaller divisor is no block size

}  // namespace

void PrefixCheck::learn_block_size(Endpoint& endpoint, std::uint32_t reported) const {
  if (!options_.exact || reported == 0) {
    return;
  }
  endpoint.divisor = std::gcd(endpoint.divisor, reported);
  ++endpoint.reports;
  // Equal prompts give equal reports; a divisor as large as a whole report says nothing about blocks.
  const bool telling = endpoint.reports >= kReportsForBlockSize && endpoint.divisor >= kSmallestBlockSize &&
                       endpoint.divisor < reported && endpoint.divisor % options_.block_size != 0;
  endpoint.stats.suspected_block_size = telling ? endpoint.divisor : 0;
}

PrefixCheck::Action PrefixCheck::strike(Endpoint& endpoint, State if_healed_before) const {
  endpoint.missing_in_a_row = endpoint.less_in_a_row = endpoint.unforeseen_in_a_row = 0;
  if (endpoint.stats.state != State::Trusted) {
    endpoint.stats.state = if_healed_before;
    return Action::None;
  }
  endpoint.stats.state = State::Healing;
  ++endpoint.stats.heals;
  return Action::Heal;
}

PrefixCheck::Action PrefixCheck::record(std::size_t slot, const Sample& sample) {
  const std::lock_guard lock(mutex_);
  if (slot >= endpoints_.size()) {
    endpoints_.resize(slot + 1);
  }
  Endpoint& endpoint = endpoints_[slot];
  Stats& stats = endpoint.stats;
  ++stats.samples;
  stats.predicted_tokens += sample.predicted;
  stats.reported_tokens += sample.reported;
  learn_block_size(endpoint, sample.reported);

  const std::uint32_t more = std::max(sample.predicted, sample.reported);
  const std::uint32_t fewer = std::min(sample.predicted, sample.reported);
  const std::uint32_t tolerance = std::max(2 * options_.block_size, more / 10);
  if (sample.predicted > 0) {
    const double agreement =
        std::min(1.0, static_cast<double>(sample.reported + tolerance) / sample.predicted);
    stats.trust += kWeightOfOneSample * (agreement - stats.trust);
  }
  if (more - fewer <= tolerance) {
    ++stats.agreed;
    // Agreeing on nothing proves nothing.
    if (fewer > 0) {
      endpoint.missing_in_a_row = endpoint.less_in_a_row = endpoint.unforeseen_in_a_row = 0;
      stats.state = State::Trusted;
    }
    return Action::None;
  }
  if (sample.reported > sample.predicted) {
    ++stats.unforeseen;
    return ++endpoint.unforeseen_in_a_row >= options_.strikes ? strike(endpoint, State::Blind) : Action::None;
  }
  if (sample.reported == 0) {
    ++stats.missing;
    return ++endpoint.missing_in_a_row >= options_.strikes ? strike(endpoint, State::Distrusted)
                                                           : Action::None;
  }
  ++stats.less;
  return ++endpoint.less_in_a_row >= options_.stale_strikes ? strike(endpoint, State::Distrusted)
                                                            : Action::None;
}

double PrefixCheck::trust(std::size_t slot) const {
  const std::lock_guard lock(mutex_);
  if (slot >= endpoints_.size()) {
    return 1;
  }
  const Stats& stats = endpoints_[slot].stats;
  return stats.state == State::Distrusted ? 0 : stats.trust;
}

PrefixCheck::Stats PrefixCheck::stats(std::size_t slot) const {
  const std::lock_guard lock(mutex_);
  return slot < endpoints_.size() ? endpoints_[slot].stats : Stats();
}

void PrefixCheck::forget(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  if (slot < endpoints_.size()) {
    endpoints_[slot] = Endpoint();
  }
}

std::string_view to_string(PrefixCheck::State state) {
  switch (state) {
    case PrefixCheck::State::Trusted:
      return "trusted";
    case PrefixCheck::State::Healing:
      return "healing";
    case PrefixCheck::State::Distrusted:
      return "distrusted";
    case PrefixCheck::State::Blind:
      return "blind";
  }
  return "unknown";
}

}  // namespace llmd::kvcache
