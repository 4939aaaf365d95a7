// Where the requests of a burst go, as llm-d's own tests state the rules.
#include "picker/plugins/burst_assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::picker {
namespace {

// Prompts are written as their blocks: "abc" and "abd" share two. Equal letters in the same place are equal
// blocks only after equal beginnings.
std::vector<kvcache::BlockHash> chain(std::string_view blocks) {
  std::vector<kvcache::BlockHash> hashes;
  kvcache::BlockHash hash = 1;
  for (const char block : blocks) {
    hash = hash * 1000003 + static_cast<unsigned char>(block);
    hashes.push_back(hash);
  }
  return hashes;
}

// The endpoints of the requests, in order: "0 0 1 -".
std::string places(const std::vector<std::string_view>& requests, std::vector<float> running,
                   BurstRules rules = {}) {
  std::vector<std::vector<kvcache::BlockHash>> prompts;
  for (const std::string_view request : requests) {
    prompts.push_back(chain(request));
  }
  std::vector<std::string> names;
  for (std::size_t i = 0; i < running.size(); ++i) {
    names.push_back("e" + std::to_string(i));
  }
  std::vector<BurstEndpoint> endpoints;
  for (std::size_t i = 0; i < running.size(); ++i) {
    endpoints.push_back({names[i], running[i]});
  }
  std::string text;
  for (const auto& place : assign_burst(prompts, endpoints, rules)) {
    text += (text.empty() ? "" : " ") + (place ? std::to_string(*place) : "-");
  }
  return text;
}

struct Burst {
  const char* what;
  std::vector<std::string_view> requests;
  std::vector<float> running;
  BurstRules rules;
  const char* places;
};

class BurstTable : public testing::TestWithParam<Burst> {};

TEST_P(BurstTable, AssignsJointly) {
  const Burst& burst = GetParam();
  EXPECT_EQ(places(burst.requests, burst.running, burst.rules), burst.places) << burst.what;
}

const std::vector<float> kTwo(2);
const std::vector<float> kFour(4);

INSTANTIATE_TEST_SUITE_P(
    Cases, BurstTable,
    testing::Values(
        Burst{"equal prompts stay together", {"abc", "abc", "abc", "abc", "abc"}, kFour, {}, "0 0 0 0 0"},
        Burst{
            "a limit spreads them", {"abc", "abc", "abc", "abc"}, kFour, {.most_per_endpoint = 1}, "0 1 2 3"},
        Burst{"a limit is filled before the next endpoint is used",
              {"abc", "abc", "abc", "abc"},
              kFour,
              {.most_per_endpoint = 2},
              "0 0 1 1"},
        Burst{"more than all limits together go one by one to the least loaded",
              {"a", "a", "a", "a", "a", "a"},
              kTwo,
              {.most_per_endpoint = 2},
              "0 0 1 1 0 1"},
        Burst{"a prompt that came once goes anywhere", {"abc"}, kTwo, {}, "-"},
        Burst{"no prompt goes anywhere", {"", ""}, kTwo, {}, "- -"},
        Burst{"different groups spread", {"abc", "xyz", "abc", "xyz"}, kFour, {}, "0 1 0 1"},
        Burst{"families of groups stay together, up to their share",
              {"abc", "abc", "abd", "abd", "xyz", "xyz", "xyw", "xyw"},
              kTwo,
              {.least_shared = 2},
              "0 0 0 0 1 1 1 1"},
        Burst{"a family that is more than a share spreads",
              {"abc", "abc", "abd", "abd", "abe", "abe", "abf", "abf"},
              kFour,
              {.least_shared = 2},
              "0 0 1 1 2 2 3 3"},
        Burst{"a single request joins the group it overlaps",
              {"abc", "abc", "abz", "xyc", "xyc", "xyz"},
              kTwo,
              {.least_shared = 2},
              "0 0 0 1 1 1"},
        Burst{"one that overlaps nobody goes anywhere",
              {"abc", "abc", "zzz"},
              kTwo,
              {.least_shared = 2},
              "0 0 -"},
        Burst{"single requests that overlap stay together, balanced",
              {"abc", "abd", "abe", "abf"},
              kTwo,
              {.least_shared = 2},
              "0 0 1 1"},
        Burst{"what is shared must be long enough",
              {"abc", "abc", "abd", "abd", "xyc", "xyc", "xyd", "xyd"},
              kTwo,
              {.least_shared = 3},
              "0 0 1 1 0 0 1 1"},
        Burst{"longer prompts are placed first and shorter ones find them",
              {"ab", "abcd", "ab", "abcd", "xy", "xy"},
              kTwo,
              {.least_shared = 2},
              "0 0 0 0 1 1"},
        Burst{"equals go to whoever runs less", {"abc", "abc"}, {3, 1, 2}, {}, "1 1"},
        Burst{"blocks are balanced instead of requests: a long prompt weighs as much as many short ones",
              {"abcdefgh", "abcdefgh", "p", "p", "q", "q", "r", "r"},
              kTwo,
              {.by_blocks = true},
              "0 0 1 1 1 1 1 1"}),
    [](const auto& info) { return "Case" + std::to_string(info.index + 1); });

TEST(BurstAssignmentTest, BlocksThatAreHeldAlreadyCostNothing) {
  // "abcz" costs its endpoint one block more, "xyzw" four: the third group goes to the first endpoint.
  EXPECT_EQ(places({"abcd", "abcd", "abcz", "abcz", "xyzw", "xyzw", "k", "k"}, kTwo,
                   {.least_shared = 3, .by_blocks = true}),
            "0 0 0 0 1 1 1 1");
}

TEST(BurstAssignmentTest, NobodyIsAssignedWithoutEndpoints) {
  EXPECT_EQ(places({"abc", "abc"}, {}), "- -");
}

}  // namespace
}  // namespace llmd::picker
