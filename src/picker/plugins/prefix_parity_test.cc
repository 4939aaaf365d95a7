// What the approximate prefix index remembers, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

// 512 tokens, of which the first `shared` are those of every such prompt.
struct Half {
  Half(std::size_t shared, std::uint64_t seed) : units(32) {
    for (std::size_t i = 0; i < units.size(); ++i) {
      units[i] = i < shared / kUnitTokens ? i + 1 : seed * 1000 + i;
    }
  }
  Request request() const {
    return {.id = "r", .model = "m", .prompt_bytes = units.size() * kUnitBytes, .prompt_units = units};
  }
  std::vector<std::uint64_t> units;
};

std::string approximate(std::string_view parameters) {
  return "plugins: [{type: approx-prefix-cache-producer, parameters: " + std::string(parameters) +
         "}, {type: prefix-cache-scorer}]\n";
}

void send(Pool& pool, const Request& request) {
  ASSERT_TRUE(pool.picker->pick(request));
}

TEST(ApproximatePrefix, BlocksAndCapsDecideWhatMatches) {
  struct Row {
    const char* parameters;
    std::size_t shared;  // tokens
    double score;
  };
  for (const Row& row : {
           Row{"{}", 256, 0.5},
           Row{"{}", 0, 0},
           Row{"{}", 512, 1},
           Row{"{blockSizeTokens: 64}", 256, 0.5},
           Row{"{blockSizeTokens: 128}", 192, 0.25},
           Row{"{blockSizeTokens: 512}", 256, 0},
           Row{"{blockSize: 512}", 192, 0.25},
           Row{"{maxPrefixTokensToMatch: 256}", 256, 1},
           Row{"{maxPrefixTokensToMatch: 1024}", 256, 0.5},
           Row{"{maxPrefixTokensToMatch: 0, maxPrefixBlocksToMatch: 4}", 256, 1},
           Row{"{maxPrefixTokensToMatch: 0, maxPrefixBlocksToMatch: 0}", 256, 0.5},
           Row{"{autoTune: false, lruCapacityPerServer: 1000}", 256, 0.5},
       }) {
    Pool pool(approximate(row.parameters), 1);
    send(pool, Half(row.shared, 1).request());
    EXPECT_THAT(pool.scores("prefix-cache-scorer", Half(row.shared, 2).request()), are({row.score}))
        << row.parameters << " " << row.shared;
  }
}

TEST(ApproximatePrefix, ModelsAdaptersAndSaltsDoNotShare) {
  const Half prompt(512, 1);
  Request usual = prompt.request();
  Request other = usual;
  other.model = "other";
  Request adapter = usual;
  adapter.target_model = "adapter";
  Request salted = usual;
  salted.cache_salt = "tenant";
  for (const Request& asked : {other, adapter, salted}) {
    Pool pool(approximate("{}"), 1);
    send(pool, usual);
    EXPECT_THAT(pool.scores("prefix-cache-scorer", asked), are({0}));
    EXPECT_THAT(pool.scores("prefix-cache-scorer", asked), are({1})) << "it has been sent now";
    EXPECT_THAT(pool.scores("prefix-cache-scorer", usual), are({1}));
  }
}

TEST(ApproximatePrefix, AServerThatWasAwayHasForgottenEverything) {
  Pool pool(approximate("{}"), 1);
  const auto server = pool.picker->endpoints()->endpoints.front();
  server->connected(true);
  const Half prompt(512, 1);
  send(pool, prompt.request());
  EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({1}));
  server->connected(false);
  send(pool, prompt.request());  // though it refuses: there is no other
  server->connected(true);
  EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({0}));
  EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({1})) << "it has been sent now";
}

TEST(ApproximatePrefix, AFullServerForgetsWhatWasUsedLongestAgo) {
  Pool pool(approximate("{autoTune: false, lruCapacityPerServer: 16}"), 1);  // two prompts of 8 blocks
  for (const std::uint64_t seed : {1, 2, 3}) {
    send(pool, Half(0, seed).request());
  }
  EXPECT_THAT(pool.scores("prefix-cache-scorer", Half(0, 3).request()), are({1}));
  EXPECT_THAT(pool.scores("prefix-cache-scorer", Half(0, 1).request()), are({0}));
}

}  // namespace
}  // namespace llmd::picker
