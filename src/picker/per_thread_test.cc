#include "picker/per_thread.h"

#include <gtest/gtest.h>

#include <thread>

namespace llmd::picker {
namespace {

TEST(PerThreadTest, AThreadFindsItsOwnAgainAndAPageSeesAll) {
  const PerThread<int> first;
  const PerThread<int> second;
  const auto count = [&] {
    for (int i = 0; i < 10; ++i) {
      ++first.mine();
      second.mine() += 2;
    }
  };
  std::thread other(count);
  count();
  other.join();
  std::vector<int> seen;
  first.each([&](int each) { seen.push_back(each); });
  second.each([&](int each) { seen.push_back(each); });
  EXPECT_EQ(seen, (std::vector{10, 10, 20, 20}));
}

TEST(PerThreadTest, AThreadForgetsOwnersThatAreGone) {
  const PerThread<long> stays;
  stays.mine() = 7;
  for (int i = 0; i < 1000; ++i) {
    const PerThread<long> goes;
    EXPECT_EQ(goes.mine(), 0);
    goes.mine() = 1;
    EXPECT_EQ(PerThread<long>::owners_known(), 2U);
  }
  EXPECT_EQ(stays.mine(), 7);
}

}  // namespace
}  // namespace llmd::picker
