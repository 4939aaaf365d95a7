#include "gateway/service_targets.h"

#include "picker/plan.h"

namespace llmd::gateway {

ServiceTargets::ServiceTargets(Shared& shared, async::Event& changed, const picker::Picker& picker,
                               picker::Request request, std::string_view backend)
    : shared_(shared),
      changed_(changed),
      picker_(picker),
      request_(request),
      backend_(backend),
      deadline_(async::Deadline::after(shared.options.endpoint_wait)),
      budget_(shared.retry_budget) {}

picker::PickResult<picker::Decision> ServiceTargets::pick() const {
  const auto endpoints = picker_.endpoints();
  auto exclude = shared_.outliers.avoided(endpoints->endpoints, shared_.turn++);
  if (exclude.empty()) {
    return picker_.pick(request_, tried_);
  }
  exclude.insert(exclude.end(), tried_.begin(), tried_.end());
  auto decided = picker_.pick(request_, exclude);
  return decided ? std::move(decided) : picker_.pick(request_, tried_);
}

Task<Result<net::Address>> ServiceTargets::next() {
  if (decision_.lease) {
    shared_.outliers.failed(decision_.endpoint().address);
    if (!budget_.may_retry()) {
      co_return unavailable("{}: too many requests are being tried again", backend_);
    }
    shared_.metrics.retries.add();
    tried_.push_back(decision_.lease.endpoint());
    decision_.lease.release();
  }
  while (true) {
    const bool empty = picker_.endpoints()->endpoints.empty();
    // What is tried again has had its turn.
    const bool queues = tried_.empty() && picker_.plan().configuration.flow_control;
    auto decided = queues ? picker::PickResult<picker::Decision>() : pick();
    if (queues) {
      decided = co_await picker_.decide(request_, deadline_.or_earlier(total_));
    }
    if (decided) {
      decision_ = std::move(*decided);
      co_return destination_of(decision_);
    }
    if (!tried_.empty() || !empty) {
      co_return std::unexpected(decided.error().error().within(backend_));
    }
    // Nobody is ready: the backend is starting, scaled to zero or gone. Somebody may come.
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline_.or_earlier(total_));
    if (!changed && total_.expired()) {
      co_return deadline_exceeded("total deadline: {}: no endpoint became ready", backend_);
    }
    if (!changed) {
      co_return unavailable(
          "{}: no endpoint became ready within {} s", backend_,
          std::chrono::duration_cast<std::chrono::seconds>(shared_.options.endpoint_wait).count())
          .hint("the model may still be loading; see the pods of its service");
    }
  }
}

Result<net::Address> ServiceTargets::rival(http::RequestHead& head) {
  if (!budget_.may_retry()) {
    return unavailable("{}: too many requests are being tried again", backend_);
  }
  tried_.push_back(decision_.lease.endpoint());
  auto decided = pick();
  tried_.pop_back();
  if (!decided) {
    return std::unexpected(decided.error().error().within(backend_));
  }
  rival_ = std::move(*decided);
  tell_endpoint(rival_, head);
  return destination_of(rival_);
}

void ServiceTargets::settled(bool rival_serves, bool other_failed) {
  shared_.metrics.hedges.with({rival_serves ? "second" : "first"})->add();
  if (rival_serves) {
    std::swap(decision_, rival_);
  }
  if (other_failed) {
    shared_.outliers.failed(rival_.endpoint().address);
  }
  tried_.push_back(rival_.lease.endpoint());
  rival_.lease.release();
}

void ServiceTargets::note(const proxy::RelayOutcome& outcome, const Answer& answer) {
  if (!decision_.lease) {
    return;
  }
  const net::Address endpoint = decision_.endpoint().address;  // tell_end() gives the lease back
  tell_end(decision_, outcome, answer);
  shared_.outliers.ended(endpoint, outcome);
}

}  // namespace llmd::gateway
