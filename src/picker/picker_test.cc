#include "picker/picker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::picker {
namespace {

std::vector<Endpoint> pods(std::initializer_list<std::string> names) {
  std::vector<Endpoint> made;
  for (const std::string& name : names) {
    made.push_back({.address = {name + ".example", 8000}, .name = name, .labels = {}});
  }
  return made;
}

TEST(PickerTest, TakesTheEndpointWithTheFewestRequests) {
  Picker picker;
  picker.update(pods({"a", "b", "c"}));
  std::vector<Decision> held;
  std::map<std::string, int> chosen;
  for (int i = 0; i < 9; ++i) {
    held.push_back(picker.pick({}).value());
    ++chosen[held.back().endpoint().name];
  }
  EXPECT_THAT(chosen,
              testing::ElementsAre(testing::Pair("a", 3), testing::Pair("b", 3), testing::Pair("c", 3)));
  held.erase(held.begin());
  const std::string freed = picker.pick({}).value().endpoint().name;
  EXPECT_EQ(picker.endpoints()->running(), 8);
  EXPECT_THAT(picker.pick({}).value().explanation(),
              testing::HasSubstr(freed + " (" + freed + ".example:8000)"));
}

TEST(PickerTest, SpreadsRequestsThatAreOverAtOnce) {
  Picker picker;
  picker.update(pods({"a", "b"}));
  std::map<std::string, int> chosen;
  for (int i = 0; i < 10; ++i) {
    ++chosen[picker.pick({}).value().endpoint().name];
  }
  EXPECT_EQ(chosen["a"], 5);
}

TEST(PickerTest, LeavesOutWhatHasFailed) {
  Picker picker;
  picker.update(pods({"a", "b"}));
  const auto failed = picker.pick({}).value().lease.endpoint();
  for (int i = 0; i < 4; ++i) {
    EXPECT_NE(picker.pick({}, {{failed}}).value().endpoint().name, failed->endpoint.name);
  }
  const auto all = picker.endpoints()->endpoints;
  const auto none = picker.pick({}, all);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, 503);
  EXPECT_THAT(none.error().message, testing::HasSubstr("all 2 endpoints have failed"));
}

TEST(PickerTest, HasNothingWithoutEndpoints) {
  EXPECT_EQ(Picker().pick({}).error().error().kind, ErrorKind::Unavailable);
}

TEST(PickerTest, CountsSurviveAnUpdateOfTheList) {
  Picker picker;
  picker.update(pods({"a"}));
  auto decision = picker.pick({}).value();
  picker.update(pods({"b", "a"}));
  EXPECT_EQ(picker.endpoints()->running(), 1);
  EXPECT_EQ(picker.pick({}).value().endpoint().name, "b");
  picker.update({});
  decision.lease.release();
  decision.lease.release();
  EXPECT_EQ(picker.endpoints()->running(), 0);
}

TEST(LeaseTest, IsReleasedOnceWhereverItGoes) {
  const auto endpoint = std::make_shared<const EndpointState>(Endpoint{});
  {
    Lease first(endpoint);
    Lease second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT: moved-from leases are empty
    EXPECT_EQ(endpoint->running(), 1);
    second = Lease(endpoint);
    EXPECT_EQ(endpoint->running(), 1);
  }
  EXPECT_EQ(endpoint->running(), 0);
}

}  // namespace
}  // namespace llmd::picker
