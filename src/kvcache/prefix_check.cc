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

void PrefixCheck::set_state(Endpoint& endpoint, State state) {
  const auto distrusted = [](State each) { return each == State::Distrusted ? 1U : 0U; };
  distrusted_.fetch_add(distrusted(state) - distrusted(endpoint.stats.state), std::memory_order_relaxed);
  endpoint.stats.state = state;
}

PrefixCheck::Action PrefixCheck::strike(Endpoint& endpoint, State if_healed_before) {
  endpoint.missing_in_a_row = endpoint.less_in_a_row = endpoint.unforeseen_in_a_row = 0;
  if (endpoint.stats.state != State::Trusted) {
    set_state(endpoint, if_healed_before);
    return Action::None;
  }
  set_state(endpoint, State::Healing);
  ++endpoint.stats.heals;
  ++counted_.heals;
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
    ++counted_.agreed;
    // Agreeing on nothing proves nothing.
    if (fewer > 0) {
      endpoint.missing_in_a_row = endpoint.less_in_a_row = endpoint.unforeseen_in_a_row = 0;
      set_state(endpoint, State::Trusted);
    }
    return Action::None;
  }
  if (sample.reported > sample.predicted) {
    ++stats.unforeseen;
    ++counted_.unforeseen;
    return ++endpoint.unforeseen_in_a_row >= options_.strikes ? strike(endpoint, State::Blind) : Action::None;
  }
  if (sample.reported == 0) {
    ++stats.missing;
    ++counted_.missing;
    return ++endpoint.missing_in_a_row >= options_.strikes ? strike(endpoint, State::Distrusted)
                                                           : Action::None;
  }
  ++stats.less;
  ++counted_.less;
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

bool PrefixCheck::distrusts(std::size_t slot) const {
  if (distrusted_.load(std::memory_order_relaxed) == 0) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  return slot < endpoints_.size() && endpoints_[slot].stats.state == State::Distrusted;
}

PrefixCheck::Summary PrefixCheck::summary() const {
  const std::lock_guard lock(mutex_);
  Summary summary = counted_;
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.stats.samples > 0) {
      ++summary.endpoints[static_cast<std::size_t>(endpoint.stats.state)];
      summary.other_block_sizes += endpoint.stats.suspected_block_size > 0 ? 1 : 0;
    }
  }
  return summary;
}

PrefixCheck::Stats PrefixCheck::stats(std::size_t slot) const {
  const std::lock_guard lock(mutex_);
  return slot < endpoints_.size() ? endpoints_[slot].stats : Stats();
}

void PrefixCheck::forget(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  if (slot < endpoints_.size()) {
    set_state(endpoints_[slot], State::Trusted);
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
