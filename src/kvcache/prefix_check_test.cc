#include "kvcache/prefix_check.h"

#include <gtest/gtest.h>

namespace llmd::kvcache {
namespace {

using Action = PrefixCheck::Action;
using State = PrefixCheck::State;

// Records the same sample `count` times; the number of times healing was asked for.
int record(PrefixCheck& check, int count, PrefixCheck::Sample sample) {
  int heals = 0;
  for (int i = 0; i < count; ++i) {
    heals += check.record(3, sample) == Action::Heal ? 1 : 0;
  }
  return heals;
}

TEST(PrefixCheckTest, PredictionsThatComeTrueAreTrusted) {
  PrefixCheck check({});
  EXPECT_EQ(record(check, 100, {1000, 800, 800}), 0);
  EXPECT_EQ(record(check, 100, {1000, 800, 784}), 0) << "the last block is computed again";
  EXPECT_EQ(record(check, 100, {1000, 0, 0}), 0);
  EXPECT_EQ(check.stats(3).agreed, 300U);
  EXPECT_EQ(check.stats(3).state, State::Trusted);
  EXPECT_GT(check.trust(3), 0.99);
  EXPECT_EQ(check.trust(77), 1);
}

TEST(PrefixCheckTest, ARestartedEngineIsHealedOnce) {
  PrefixCheck check({});
  record(check, 10, {1000, 800, 800});
  EXPECT_EQ(record(check, 5, {1000, 800, 0}), 1);
  EXPECT_EQ(check.stats(3).state, State::Healing);
  EXPECT_EQ(record(check, 3, {1000, 0, 0}), 0) << "forgotten, so nothing is predicted";
  EXPECT_EQ(record(check, 1, {1000, 800, 800}), 0);
  EXPECT_EQ(check.stats(3).state, State::Trusted);
  EXPECT_EQ(record(check, 5, {1000, 800, 0}), 1) << "and restarted again later";
}

TEST(PrefixCheckTest, AWrongSeedIsDistrustedAfterHealingDidNotHelp) {
  PrefixCheck check({});
  EXPECT_EQ(record(check, 50, {1000, 800, 0}), 1);
  EXPECT_EQ(check.stats(3).state, State::Distrusted);
  EXPECT_EQ(check.trust(3), 0);
  record(check, 1, {1000, 800, 800});
  EXPECT_EQ(check.stats(3).state, State::Trusted);
  EXPECT_GT(check.trust(3), 0);
}

TEST(PrefixCheckTest, OneMissAmongHitsIsNothing) {
  PrefixCheck check({});
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(record(check, 4, {1000, 800, 0}), 0);
    EXPECT_EQ(record(check, 1, {1000, 800, 800}), 0);
  }
  EXPECT_EQ(check.stats(3).missing, 80U);
  EXPECT_LT(check.trust(3), 0.6) << "but it is not worth much";
}

TEST(PrefixCheckTest, StalePredictionsAreHealedAfterALongerTime) {
  PrefixCheck check({});
  EXPECT_EQ(record(check, 19, {1000, 800, 400}), 0);
  EXPECT_EQ(record(check, 1, {1000, 800, 400}), 1);
}

TEST(PrefixCheckTest, HitsNobodyPredictedAreHealedOnceAndThenCounted) {
  PrefixCheck check({});
  EXPECT_EQ(record(check, 50, {1000, 0, 800}), 1);
  EXPECT_EQ(check.stats(3).state, State::Blind);
  EXPECT_EQ(check.stats(3).unforeseen, 50U);
  EXPECT_GT(check.trust(3), 0.99) << "what is predicted comes true";
}

TEST(PrefixCheckTest, TheEnginesBlockSizeShowsInItsReports) {
  PrefixCheck check({.block_size = 64});
  for (const std::uint32_t blocks : {3U, 5U, 8U, 7U, 12U, 2U, 9U, 11U}) {
    check.record(3, {1000, 0, blocks * 48});
  }
  EXPECT_EQ(check.stats(3).suspected_block_size, 48U);
  PrefixCheck same({.block_size = 16});
  for (const std::uint32_t blocks : {3U, 5U, 8U, 7U, 12U, 2U, 9U, 11U}) {
    same.record(3, {1000, 0, blocks * 16});
  }
  EXPECT_EQ(same.stats(3).suspected_block_size, 0U);
}

TEST(PrefixCheckTest, TheSummaryCountsEveryEndpointAndGoesOnWithoutThoseThatLeave) {
  PrefixCheck check({.block_size = 64});
  record(check, 50, {1000, 800, 0});
  check.record(1, {1000, 800, 800});
  EXPECT_TRUE(check.distrusts(3));
  EXPECT_FALSE(check.distrusts(1));
  PrefixCheck::Summary summary = check.summary();
  EXPECT_EQ(summary.agreed, 1U);
  EXPECT_EQ(summary.missing, 50U);
  EXPECT_EQ(summary.heals, 1U);
  EXPECT_EQ(summary.endpoints, (std::array<std::uint32_t, 4>{1, 0, 1, 0}));
  check.forget(3);
  summary = check.summary();
  EXPECT_EQ(summary.missing, 50U);
  EXPECT_EQ(summary.endpoints, (std::array<std::uint32_t, 4>{1, 0, 0, 0}));
}

TEST(PrefixCheckTest, ASlotWithANewEndpointStartsClean) {
  PrefixCheck check({});
  record(check, 50, {1000, 800, 0});
  EXPECT_TRUE(check.distrusts(3));
  check.forget(3);
  EXPECT_FALSE(check.distrusts(3));
  EXPECT_EQ(check.trust(3), 1);
  EXPECT_EQ(check.stats(3).samples, 0U);
}

}  // namespace
}  // namespace llmd::kvcache
