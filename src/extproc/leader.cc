#include "extproc/leader.h"

#include "async/deadline.h"
#include "base/clock.h"
#include "base/log.h"

namespace llmd::extproc {
namespace {

std::string now_text() {
  std::string text = to_rfc3339(system_clock().wall_now());
  text.insert(text.size() - 1, ".000000");  // MicroTime
  return text;
}

Result<WallTime> time_of(std::string_view text) {
  const auto dot = text.find('.');
  return parse_rfc3339(dot == std::string_view::npos ? std::string(text)
                                                     : std::string(text.substr(0, dot)) + "Z");
}

kube::Object new_lease(const LeaseOptions& options) {
  return {{"apiVersion", "coordination.k8s.io/v1"},
          {"kind", "Lease"},
          {"metadata", {{"name", options.key.name}, {"namespace", options.key.name_space}}}};
}

void take(kube::Object& lease, const LeaseOptions& options) {
  const bool mine = kube::find_string(lease, "spec.holderIdentity") == options.identity;
  const std::string now = now_text();
  if (!mine) {
    kube::at(lease, "spec.holderIdentity") = options.identity;
    kube::at(lease, "spec.acquireTime") = now;
    kube::at(lease, "spec.leaseTransitions") = kube::find_int(lease, "spec.leaseTransitions", -1) + 1;
  }
  kube::at(lease, "spec.leaseDurationSeconds") =
      std::chrono::duration_cast<std::chrono::seconds>(options.duration).count();
  kube::at(lease, "spec.renewTime") = now;
}

// True: the lease is ours now. Conflict and the like: somebody else was faster.
Task<Result<bool>> try_to_lead(kube::Client& client, const LeaseOptions& options) {
  auto lease = co_await client.get(kube::kLeases, options.key);
  if (!lease && lease.error().kind == ErrorKind::NotFound) {
    kube::Object fresh = new_lease(options);
    take(fresh, options);
    LLMD_CO_TRY_VOID(co_await client.create(kube::kLeases, std::move(fresh)));
    co_return true;
  }
  if (!lease) {
    co_return std::unexpected(std::move(lease).error());
  }
  if (!may_take(*lease, options.identity, system_clock().wall_now())) {
    co_return false;
  }
  take(*lease, options);
  LLMD_CO_TRY_VOID(co_await client.update(kube::kLeases, std::move(*lease)));
  co_return true;
}

}  // namespace

bool may_take(const kube::Object& lease, std::string_view identity, WallTime now) {
  const std::string_view holder = kube::find_string(lease, "spec.holderIdentity");
  if (holder.empty() || holder == identity) {
    return true;
  }
  const auto renewed = time_of(kube::find_string(lease, "spec.renewTime"));
  const auto duration = std::chrono::seconds(kube::find_int(lease, "spec.leaseDurationSeconds", 15));
  return !renewed || now > *renewed + duration;
}

Task<void> lead(kube::Client& client, LeaseOptions options, std::function<void(bool)> leading) {
  bool leads = false;
  TimePoint renewed;
  while (true) {
    const auto outcome = co_await try_to_lead(client, options);
    const TimePoint now = system_clock().now();
    if (outcome.value_or(false)) {
      renewed = now;
    }
    const bool still = outcome ? *outcome : leads && now - renewed < options.renew_deadline;
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

Task<void> give_up_lead(kube::Client& client, LeaseOptions options) {
  auto lease = co_await client.get(kube::kLeases, options.key);
  if (lease && kube::find_string(*lease, "spec.holderIdentity") == options.identity) {
    kube::at(*lease, "spec.holderIdentity") = "";
    co_await client.update(kube::kLeases, std::move(*lease));
  }
}

}  // namespace llmd::extproc
