#include "gateway/status_writer.h"

#include "base/log.h"

namespace llmd::gateway {
namespace {

// After a failure that no change of objects will announce the end of.
constexpr auto kPause = std::chrono::seconds(1);

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
  if (written || written.error().kind == ErrorKind::Conflict || written.error().kind == ErrorKind::NotFound) {
    co_return;  // changed or gone: its watch says so, and the status is computed anew
  }
  log::warning("status not written", {{"kind", change.resource.kind},
                                      {"name", kube::key_of(change.object).to_string()},
                                      {"error", written.error().text()}});
  const ErrorKind kind = written.error().kind;
  if (kind == ErrorKind::Unavailable || kind == ErrorKind::DeadlineExceeded) {
    co_await async::sleep(kPause);
    wanted_.push_back(std::move(change));
  }
}

}  // namespace llmd::gateway
