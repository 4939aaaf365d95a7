#include "kube/leader.h"

#include "async/deadline.h"
#include "async/with_deadline.h"
#include "base/clock.h"
#include "base/log.h"

namespace llmd::kube {
namespace {

constexpr Duration kFarewell = std::chrono::seconds(3);

// MicroTime: RFC 3339 with exactly six digits.
std::string now_text() {
  const WallTime now = system_clock().wall_now();
  const auto within = std::chrono::duration_cast<std::chrono::microseconds>(
      now - std::chrono::floor<std::chrono::seconds>(now));
  std::string text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
  text.insert(text.size() - 1, fmt::format(".{:06}", within.count()));
  return text;
}

Object new_lease(const LeaseOptions& options) {
  return {{"apiVersion", "coordination.k8s.io/v1"},
          {"kind", "Lease"},
          {"metadata", {{"name", options.key.name}, {"namespace", options.key.name_space}}}};
}

void take(Object& lease, const LeaseOptions& options) {
  const std::string now = now_text();
  if (find_string(lease, "spec.holderIdentity") != options.identity) {
    at(lease, "spec.holderIdentity") = options.identity;
    at(lease, "spec.acquireTime") = now;
    at(lease, "spec.leaseTransitions") = find_int(lease, "spec.leaseTransitions", -1) + 1;
  }
  at(lease, "spec.leaseDurationSeconds") =
      std::chrono::duration_cast<std::chrono::seconds>(options.duration).count();
  at(lease, "spec.renewTime") = now;
}

// True: the lease is ours now. Conflict and the like: somebody else was faster.
Task<Result<bool>> try_to_lead(Client& client, LeaseWatch& watch, const LeaseOptions& options) {
  auto lease = co_await client.get(kLeases, options.key);
  if (!lease && lease.error().kind == ErrorKind::NotFound) {
    Object fresh = new_lease(options);
    take(fresh, options);
    LLMD_CO_TRY_VOID(co_await client.create(kLeases, std::move(fresh)));
    co_return true;
  }
  if (!lease) {
    co_return std::unexpected(std::move(lease).error());
  }
  if (!watch.may_take(*lease, options.identity, std::chrono::steady_clock::now())) {
    co_return false;
  }
  take(*lease, options);
  LLMD_CO_TRY_VOID(co_await client.update(kLeases, std::move(*lease)));
  co_return true;
}

Task<Result<void>> release(Client& client, const LeaseOptions& options) {
  LLMD_CO_TRY(auto lease, co_await client.get(kLeases, options.key));
  if (find_string(lease, "spec.holderIdentity") == options.identity) {
    at(lease, "spec.holderIdentity") = "";
    LLMD_CO_TRY_VOID(co_await client.update(kLeases, std::move(lease)));
  }
  co_return Result<void>();
}

}  // namespace

bool LeaseWatch::may_take(const Object& lease, std::string_view identity, TimePoint now) {
  const std::string_view holder = find_string(lease, "spec.holderIdentity");
  if (holder.empty() || holder == identity) {
    return true;
  }
  std::string seen = fmt::format("{} {}", holder, find_string(lease, "spec.renewTime"));
  if (seen != seen_) {
    seen_ = std::move(seen);
    since_ = now;
  }
  constexpr std::int64_t kUsual = 15;
  return now > since_ + std::chrono::seconds(find_int(lease, "spec.leaseDurationSeconds", kUsual));
}

Task<void> lead(Client& client, LeaseOptions options, std::function<void(bool)> leading) {
  LeaseWatch watch;
  bool leads = false;
  TimePoint renewed;
  while (true) {
    const TimePoint began = std::chrono::steady_clock::now();
    const auto deadline = async::Deadline::at((leads ? renewed : began) + options.renew_deadline);
    const auto outcome = co_await async::with_deadline(deadline, "the lease " + options.key.to_string(),
                                                       try_to_lead(client, watch, options));
    if (outcome.value_or(false)) {
      renewed = began;
    }
    const bool in_time = std::chrono::steady_clock::now() - renewed < options.renew_deadline;
    const bool still = outcome ? *outcome : leads && in_time;
    if (!outcome && outcome.error().kind != ErrorKind::Conflict) {
      log::warning("leader election",
                   {{"lease", options.key.to_string()}, {"problem", outcome.error().text()}});
    }
    if (still != leads) {
      leads = still;
      log::info(leads ? "leading" : "no longer leading",
                {{"lease", options.key.to_string()}, {"identity", options.identity}});
      leading(leads);
    }
    co_await async::sleep(options.retry);
  }
}

Task<void> give_up_lead(Client& client, LeaseOptions options) {
  (void)co_await async::with_deadline(async::Deadline::after(kFarewell), "the lease",
                                      release(client, options));
}

}  // namespace llmd::kube
