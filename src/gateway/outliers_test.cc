// Endpoints that fail are left alone and come back slowly; retries keep to their budget.
#include "gateway/outliers.h"

#include <gtest/gtest.h>

#include <optional>

#include "gateway/retry_budget.h"

namespace llmd::gateway {
namespace {

using std::chrono::seconds;

class HandClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return {}; }
  void pass(Duration duration) { now_ += duration; }

 private:
  TimePoint now_ = TimePoint(seconds(1000));
};

class OutlierRules : public ::testing::Test {
 protected:
  OutlierRules() {
    for (int i = 1; i <= 3; ++i) {
      const std::string host = "10.0.0." + std::to_string(i);
      all_.push_back(std::make_shared<const picker::EndpointState>(std::make_shared<const picker::Endpoint>(
          picker::Endpoint{.address = {host, 80}, .name = host, .labels = {}})));
    }
  }
  void fail(int endpoint, int times) {
    for (int i = 0; i < times; ++i) {
      outliers_.failed(all_[endpoint]->endpoint.address);
    }
  }
  void succeed(int endpoint) { outliers_.succeeded(all_[endpoint]->endpoint.address); }
  // Of a hundred requests, how many avoid the endpoint.
  int avoiding(int endpoint) const {
    int count = 0;
    for (unsigned turn = 0; turn < 100; ++turn) {
      const auto avoided = outliers_.avoided(all_, turn);
      count += static_cast<int>(std::ranges::count(avoided, all_[endpoint]));
    }
    return count;
  }

  HandClock clock_;
  Outliers outliers_{{.failures = 3, .pause = seconds(10), .longest_pause = seconds(30), .ramp = seconds(10)},
                     clock_};
  std::vector<picker::EndpointPtr> all_;
};

TEST_F(OutlierRules, FailuresInARowEjectAnEndpoint) {
  fail(0, 2);
  succeed(0);
  fail(0, 2);
  EXPECT_EQ(avoiding(0), 0);
  fail(0, 1);
  EXPECT_EQ(avoiding(0), 100);
  EXPECT_EQ(avoiding(1), 0);
  EXPECT_EQ(outliers_.ejected(), 1);
}

TEST_F(OutlierRules, AnEndpointComesBackSlowlyAndIsForgivenAfterwards) {
  fail(0, 3);
  clock_.pass(seconds(10));
  EXPECT_EQ(avoiding(0), 90);
  clock_.pass(seconds(5));
  EXPECT_NEAR(avoiding(0), 45, 1);
  clock_.pass(seconds(5));
  EXPECT_EQ(avoiding(0), 0);
  succeed(0);
  fail(0, 2);
  EXPECT_EQ(avoiding(0), 0);
}

TEST_F(OutlierRules, EachTimeTheyStayAwayLongerUpToALimit) {
  for (const int pause : {10, 20, 30, 30}) {
    fail(0, 3);
    clock_.pass(seconds(pause) - std::chrono::milliseconds(1));
    EXPECT_EQ(avoiding(0), 100) << pause;
    clock_.pass(seconds(1));
    EXPECT_LT(avoiding(0), 100) << pause;
  }
}

TEST_F(OutlierRules, WhenAllFailNobodyIsAvoided) {
  for (int i = 0; i < 3; ++i) {
    fail(i, 3);
  }
  EXPECT_EQ(avoiding(0), 0);
}

TEST_F(OutlierRules, EndpointsThatAreGoneAreForgotten) {
  fail(0, 3);
  outliers_.keep_only(std::vector{all_[1]->endpoint.address});
  EXPECT_EQ(avoiding(0), 0);
}

TEST(RetryBudgetTest, IsAFifthOfTheRunningRequestsAndAtLeastTen) {
  RetryBudget budget;
  std::vector<std::unique_ptr<RetryBudget::Request>> requests;
  const auto permitted = [&] {
    int count = 0;
    for (const auto& request : requests) {
      count += request->may_retry() ? 1 : 0;
    }
    return count;
  };
  for (int i = 0; i < 30; ++i) {
    requests.push_back(std::make_unique<RetryBudget::Request>(budget));
  }
  EXPECT_EQ(permitted(), 10);
  for (int i = 0; i < 70; ++i) {
    requests.push_back(std::make_unique<RetryBudget::Request>(budget));
  }
  EXPECT_EQ(permitted(), 20);
  requests.clear();
  RetryBudget::Request alone(budget);
  EXPECT_TRUE(alone.may_retry());
}

TEST(RetryBudgetTest, HedgesLeaveHalfOfThePlacesToRequestsThatFailed) {
  RetryBudget budget;
  std::vector<std::unique_ptr<RetryBudget::Request>> late;
  int hedged = 0;
  for (int i = 0; i < 20; ++i) {
    hedged += late.emplace_back(std::make_unique<RetryBudget::Request>(budget))->may_hedge() ? 1 : 0;
  }
  EXPECT_EQ(hedged, 5);
  std::vector<std::unique_ptr<RetryBudget::Request>> refused;
  int retried = 0;
  for (int i = 0; i < 20; ++i) {
    retried += refused.emplace_back(std::make_unique<RetryBudget::Request>(budget))->may_retry() ? 1 : 0;
  }
  EXPECT_EQ(retried, 5);
  EXPECT_TRUE(late.front()->may_retry()) << "a hedged request has a place already";
}

}  // namespace
}  // namespace llmd::gateway
