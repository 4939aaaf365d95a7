#include "kvcache/event_publisher.h"

#include <gtest/gtest.h>

namespace llmd::kvcache {
namespace {

TEST(EventPublisherTest, AnAddressInUseIsAnErrorThatNamesIt) {
  const auto first = EventPublisher::open({.endpoint = "tcp://127.0.0.1:*"});
  ASSERT_TRUE(first) << first.error().text();
  const auto second =
      EventPublisher::open({.endpoint = (*first)->endpoint(), .role = EventPublisher::Role::Bind});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Unavailable);
  EXPECT_NE(second.error().message.find((*first)->endpoint()), std::string::npos);
}

TEST(EventPublisherTest, EachRankHasAPortOfItsOwn) {
  EXPECT_EQ(endpoint_of_rank("tcp://*:5557", 0).value(), "tcp://*:5557");
  EXPECT_EQ(endpoint_of_rank("tcp://*:5557", 3).value(), "tcp://*:5560");
  EXPECT_EQ(endpoint_of_rank("tcp://[::1]:5557", 1).value(), "tcp://[::1]:5558");
  EXPECT_EQ(endpoint_of_rank("inproc://kv", 2).value(), "inproc://kv_dp2");
  EXPECT_FALSE(endpoint_of_rank("tcp://host", 1));
  EXPECT_FALSE(endpoint_of_rank("tcp://*:65535", 1));
}

}  // namespace
}  // namespace llmd::kvcache
