#include "gateway/service_targets.h"

namespace llmd::gateway {

ServiceTargets::ServiceTargets(Shared& shared, async::Event& changed, const picker::Picker& picker,
                               picker::Request request, std::string_view backend)
    : DecidedTargets(shared, backend),
      changed_(changed),
      picker_(picker),
      request_(request),
      deadline_(async::Deadline::after(shared.options.endpoint_wait)) {}

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
    LLMD_CO_TRY_VOID(give_up());
  }
  while (true) {
    const bool empty = picker_.endpoints()->endpoints.empty();
    // What is tried again has had its turn.
    const bool queues = tried_.empty() && picker_.waits();
    auto decided = queues ? picker::PickResult<picker::Decision>() : pick();
    if (queues) {
      decided = co_await picker_.decide(request_, deadline_.or_earlier(total_));
    }
    if (decided) {
      decision_ = std::move(*decided);
      co_return destination_of(decision_);
    }
    if (!tried_.empty() || !empty) {
      co_return std::unexpected(decided.error().error().within(whose_));
    }
    // Nobody is ready: the backend is starting, scaled to zero or gone. Somebody may come.
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline_.or_earlier(total_));
    if (!changed && total_.expired()) {
      co_return deadline_exceeded("total deadline: {}: no endpoint became ready", whose_);
    }
    if (!changed) {
      co_return unavailable(
          "{}: no endpoint became ready within {} s", whose_,
          std::chrono::duration_cast<std::chrono::seconds>(shared_.options.endpoint_wait).count())
          .hint("the model may still be loading; see the pods of its service");
    }
  }
}

Result<picker::Decision> ServiceTargets::another() {
  auto decided = pick();
  if (!decided) {
    return std::unexpected(decided.error().error().within(whose_));
  }
  return std::move(*decided);
}

}  // namespace llmd::gateway
