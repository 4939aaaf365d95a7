#include "gateway/picked_targets.h"

#include <algorithm>

namespace llmd::gateway {

Task<Result<net::Address>> PickedTargets::next() {
  if (next_ > 0) {
    shared_.outliers.failed(destinations_[next_ - 1]);
    if (next_ == destinations_.size()) {
      co_return unavailable("the endpoint picker named no further endpoint");
    }
    shared_.metrics.retries.add();
  }
  const net::Address& chosen = destinations_[next_++];
  visit_.set_upstream(chosen.to_string());
  const auto endpoints = known_.endpoints();
  const auto found = std::ranges::find(
      endpoints->endpoints, chosen, [](const picker::EndpointPtr& each) { return each->endpoint.address; });
  lease_ = found != endpoints->endpoints.end() ? picker::Lease(*found) : picker::Lease();
  co_return chosen;
}

void PickedTargets::note(const proxy::RelayOutcome& outcome) {
  if (next_ == 0) {
    return;
  }
  lease_.release();
  shared_.outliers.ended(destinations_[next_ - 1], outcome);
}

}  // namespace llmd::gateway
