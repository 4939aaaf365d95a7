#include "net/watchdog.h"

#include <gtest/gtest.h>

#include "async/event.h"
#include "async/event_loop.h"

namespace llmd::net {
namespace {

// A TLS write of many records hung for ever when its deadline passed between two of the socket's operations.
TEST(Watchdog, CancelsAgainWhileAnOperationGoesOn) {
  async::EventLoop loop;
  async::Event ended(loop.executor());
  int cancellations = 0;
  std::shared_ptr<Watchdog> watchdog;
  watchdog = std::make_shared<Watchdog>(loop.executor(), [&] {
    if (++cancellations == 3) {
      watchdog->end();
      ended.set();
    }
  });
  watchdog->set(async::Deadline::after(std::chrono::milliseconds(1)), "the reader");
  watchdog->begin();
  loop.block_on(ended.wait());
  EXPECT_EQ(cancellations, 3);
  EXPECT_TRUE(watchdog->expired());
  watchdog->disarm();
}

}  // namespace
}  // namespace llmd::net
