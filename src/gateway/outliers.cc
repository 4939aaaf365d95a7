#include "gateway/outliers.h"

#include <algorithm>

namespace llmd::gateway {

void Outliers::failed(const net::Address& endpoint) {
  if (options_.failures == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  State& state = troubled_[endpoint];
  size_ = static_cast<int>(troubled_.size());
  const TimePoint now = clock_.now();
  if (++state.failures < options_.failures || now < state.until) {
    return;
  }
  const int doublings = std::min(state.ejections++, 10);
  state.until = now + std::min(options_.pause * (1 << doublings), options_.longest_pause);
}

void Outliers::ended(const net::Address& endpoint, const proxy::RelayOutcome& outcome) {
  if (outcome.error && outcome.error->kind != ErrorKind::Cancelled) {
    failed(endpoint);
  } else if (outcome.complete) {
    succeeded(endpoint);
  }
}

void Outliers::succeeded(const net::Address& endpoint) {
  if (size_ == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto found = troubled_.find(endpoint);
  if (found == troubled_.end()) {
    return;
  }
  found->second.failures = 0;
  // During the ramp one success proves little; after it the past is forgotten.
  if (clock_.now() >= found->second.until + options_.ramp) {
    troubled_.erase(found);
    size_ = static_cast<int>(troubled_.size());
  }
}

bool Outliers::avoids(const State& state, TimePoint now, unsigned turn) const {
  if (state.until == TimePoint()) {
    return false;
  }
  if (now < state.until) {
    return true;
  }
  if (now >= state.until + options_.ramp) {
    return false;
  }
  // From a tenth of the requests to all of them.
  const double share = 0.1 + 0.9 * static_cast<double>((now - state.until).count()) /
                                 static_cast<double>(options_.ramp.count());
  return static_cast<double>(turn % 100) >= share * 100;
}

std::vector<picker::EndpointPtr> Outliers::avoided(std::span<const picker::EndpointPtr> all,
                                                   unsigned turn) const {
  std::vector<picker::EndpointPtr> avoided;
  if (size_ == 0) {
    return avoided;
  }
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.now();
  for (const picker::EndpointPtr& endpoint : all) {
    const auto found = troubled_.find(endpoint->endpoint.address);
    if (found != troubled_.end() && avoids(found->second, now, turn)) {
      avoided.push_back(endpoint);
    }
  }
  if (avoided.size() == all.size()) {
    avoided.clear();
  }
  return avoided;
}

void Outliers::keep_only(std::span<const net::Address> known) {
  if (size_ == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  std::erase_if(troubled_,
                [&](const auto& each) { return std::ranges::find(known, each.first) == known.end(); });
  size_ = static_cast<int>(troubled_.size());
}

int Outliers::ejected() const {
  if (size_ == 0) {
    return 0;
  }
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_.now();
  return static_cast<int>(
      std::ranges::count_if(troubled_, [now](const auto& each) { return now < each.second.until; }));
}

}  // namespace llmd::gateway
