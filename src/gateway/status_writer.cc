#include "gateway/status_writer.h"

#include "base/log.h"

namespace llmd::gateway {
namespace {

// After a failure that no change of objects will announce the end of.
constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::minutes(1);

// Denied may be for a moment too: rights are granted, and a server that starts does not know them yet.
bool may_pass(ErrorKind kind) {
  return kind == ErrorKind::Unavailable || kind == ErrorKind::DeadlineExceeded ||
         kind == ErrorKind::PermissionDenied || kind == ErrorKind::Unauthenticated;
}

}  // namespace

void StatusWriter::want(std::vector<StatusChange> changes) {
  wanted_ = std::move(changes);
  if (!wanted_.empty()) {
    changed_.set();
  }
}

Task<void> StatusWriter::run() {
  while (true) {
    co_await changed_.wait();
    if (wanted_.empty()) {
      changed_.reset();
      continue;
    }
    StatusChange change = std::move(wanted_.back());
    wanted_.pop_back();
    co_await write(std::move(change));
  }
}

Task<void> StatusWriter::write(StatusChange change) {
  const auto written = co_await client_.update_status(change.resource, change.object);
  if (written) {
    pause_ = Duration::zero();
    co_return;
  }
  const ErrorKind kind = written.error().kind;
  if (kind == ErrorKind::Conflict || kind == ErrorKind::NotFound) {
    co_return;  // changed or gone: its watch says so, and the status is computed anew
  }
  log::warning("status not written", {{"kind", change.resource.kind},
                                      {"name", kube::key_of(change.object).to_string()},
                                      {"error", written.error().text()}});
  if (may_pass(kind)) {
    wanted_.insert(wanted_.begin(), std::move(change));  // others may fare better
    co_await pause();
  }
}

Task<void> StatusWriter::pause() {
  pause_ = pause_ == Duration::zero() ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  co_await async::sleep(pause_);
}

}  // namespace llmd::gateway
