#include "net/watchdog.h"

namespace llmd::net {
namespace {

constexpr auto kCancelAgain = std::chrono::milliseconds(10);

}  // namespace

void Watchdog::set(async::Deadline deadline, std::string_view waited_for) {
  deadline_ = deadline;
  waited_for_ = waited_for;
  expired_ = false;
  if (in_flight_ > 0) {
    arm();
  }
}

void Watchdog::begin() {
  ++in_flight_;
  arm();
}

void Watchdog::disarm() {
  cancel_ = nullptr;
  timer_.cancel();
}

void Watchdog::arm() {
  if (deadline_.is_never() || armed_for_ <= deadline_.time()) {
    return;  // an early timer finds the later deadline when it fires
  }
  arm_for(deadline_.time());
}

void Watchdog::arm_for(TimePoint time) {
  armed_for_ = time;
  timer_.expires_at(armed_for_);
  timer_.async_wait([self = shared_from_this()](const async::ErrorCode& error) {
    if (!error && self->alive()) {
      self->fired();
    }
  });
}

void Watchdog::fired() {
  armed_for_ = TimePoint::max();
  if (in_flight_ == 0 || deadline_.is_never()) {
    return;
  }
  if (deadline_.expired()) {
    expired_ = true;
    cancel_();
    arm_for(std::chrono::steady_clock::now() + kCancelAgain);
  } else {
    arm();
  }
}

}  // namespace llmd::net
