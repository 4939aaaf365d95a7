#include "kvcache/wake_up.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/assert.h"

namespace llmd::kvcache {

WakeUp::WakeUp() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  LLMD_ASSERT(event_, "an eventfd");
}

void WakeUp::signal() const {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the sleeper is awake anyway.
  [[maybe_unused]] const auto written = ::write(event_.number(), &one, sizeof one);
}

void WakeUp::clear() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(event_.number(), &count, sizeof count);
}

}  // namespace llmd::kvcache
