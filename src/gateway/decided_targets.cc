#include "gateway/decided_targets.h"

#include <algorithm>

#include "async/event_loop.h"

namespace llmd::gateway {

DecidedTargets::DecidedTargets(Shared& shared, std::string_view whose)
    : shared_(shared), whose_(whose), budget_(shared.retry_budget) {}

void DecidedTargets::prepare(http::RequestHead& head) {
  tell_endpoint(decision_, head);
  offer_for_eviction();
}

proxy::Revocation& DecidedTargets::be_evictable(Executor executor) {
  executor_ = executor;
  return revocation_;
}

void DecidedTargets::offer_for_eviction() {
  if (!executor_ || decision_.memory.priority >= 0) {
    return;
  }
  if (!self_) {
    self_ = std::make_shared<DecidedTargets*>(this);
  }
  // Under flow control's lock, so it is only passed on.
  decision_.on_evicted([weak = std::weak_ptr(self_), executor = *executor_] {
    async::post_to(executor, [weak] {
      if (const auto alive = weak.lock()) {
        (*alive)->evicted();
      }
    });
  });
}

void DecidedTargets::evicted() {
  if (decision_.lease) {
    decision_.complete({.cause = picker::EndCause::Evicted, .status = 429, .usage = {}});
    revocation_.revoke(resource_exhausted("request evicted by flow control"));
  }
}

Result<void> DecidedTargets::give_up() {
  shared_.outliers.failed(decision_.endpoint().address);
  if (!budget_.may_retry()) {
    return unavailable("{}: too many requests are being tried again", whose_);
  }
  shared_.metrics.retries.add();
  tried_.push_back(decision_.lease.endpoint());
  decision_ = {};
  return {};
}

bool DecidedTargets::has_tried(const net::Address& endpoint) const {
  return std::ranges::any_of(
      tried_, [&](const picker::EndpointPtr& each) { return each->endpoint.address == endpoint; });
}

Result<net::Address> DecidedTargets::rival(http::RequestHead& head) {
  if (!budget_.may_hedge()) {
    return unavailable("{}: too many requests are being hedged", whose_);
  }
  tried_.push_back(decision_.lease.endpoint());
  auto decided = another();
  tried_.pop_back();
  LLMD_TRY(rival_, std::move(decided));
  tell_endpoint(rival_, head);
  return destination_of(rival_);
}

void DecidedTargets::settled(bool rival_serves, bool other_failed) {
  shared_.metrics.hedges.with({rival_serves ? "second" : "first"})->add();
  if (rival_serves) {
    std::swap(decision_, rival_);
    offer_for_eviction();
  }
  if (other_failed) {
    shared_.outliers.failed(rival_.endpoint().address);
  }
  tried_.push_back(rival_.lease.endpoint());
  rival_ = {};
}

void DecidedTargets::note(const proxy::RelayOutcome& outcome, const Answer& answer) {
  if (!decision_.lease) {
    return;
  }
  const net::Address endpoint = decision_.endpoint().address;  // tell_end() gives the lease back
  tell_end(decision_, outcome, answer);
  shared_.outliers.ended(endpoint, outcome);
}

}  // namespace llmd::gateway
