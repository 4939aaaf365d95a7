// What is left to read before a prompt that comes now.
#include "picker/prefill_backlog.h"

#include <gtest/gtest.h>

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;

const TimePoint kBegin = TimePoint() + std::chrono::hours(1);

TEST(PrefillBacklog, CountsPromptsUntilTheirFirstToken) {
  PrefillBacklog backlog;
  EXPECT_EQ(backlog.at(kBegin).tokens(3), 0);
  const auto first = backlog.add(3, 1000, kBegin);
  const auto second = backlog.add(3, 500, kBegin);
  EXPECT_EQ(backlog.at(kBegin).tokens(3), 1500);
  EXPECT_EQ(backlog.at(kBegin).tokens(0), 0) << "another endpoint's";
  backlog.read(first, kBegin + milliseconds(100));
  EXPECT_EQ(backlog.at(kBegin + milliseconds(100)).tokens(3), 500);
  backlog.read(second, kBegin + milliseconds(150));
  EXPECT_EQ(backlog.at(kBegin + milliseconds(150)).tokens(3), 0);
}

TEST(PrefillBacklog, SubtractsWhatIsDoneOfTheFirstAtTheSpeedSeen) {
  PrefillBacklog backlog;
  const auto first = backlog.add(0, 1000, kBegin);
  const auto second = backlog.add(0, 1000, kBegin);
  backlog.add(0, 1000, kBegin);
  backlog.read(first, kBegin + milliseconds(100));
  backlog.read(second, kBegin + milliseconds(200));  // 10 tokens per millisecond
  EXPECT_DOUBLE_EQ(backlog.at(kBegin + milliseconds(230)).tokens(0), 700);
  EXPECT_DOUBLE_EQ(backlog.at(kBegin + milliseconds(900)).tokens(0), 0) << "never less than nothing";
}

TEST(PrefillBacklog, ATokenSaysThatEarlierPromptsAreReadToo) {
  PrefillBacklog backlog;
  const auto lost = backlog.add(0, 4000, kBegin);
  const auto second = backlog.add(0, 1000, kBegin);
  backlog.add(0, 300, kBegin);
  backlog.read(second, kBegin);
  EXPECT_EQ(backlog.at(kBegin).tokens(0), 300);
  backlog.read(lost, kBegin);
  backlog.drop(lost, kBegin);
  EXPECT_EQ(backlog.at(kBegin).tokens(0), 300);
}

TEST(PrefillBacklog, ForgetsPromptsThatEndWithoutAToken) {
  PrefillBacklog backlog;
  const auto first = backlog.add(0, 1000, kBegin);
  const auto second = backlog.add(0, 200, kBegin);
  backlog.drop(first, kBegin);
  EXPECT_EQ(backlog.at(kBegin).tokens(0), 200);
  backlog.drop(second, kBegin);
  EXPECT_EQ(backlog.at(kBegin).tokens(0), 0);
}

}  // namespace
}  // namespace llmd::picker
