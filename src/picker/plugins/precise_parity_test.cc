// A precise prefix index with engines that publish, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvcache/event_publisher.h"
#include "kvcache/eventually_test.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

using kvcache::BlockStored;
using kvcache::comes_to;
using testing::HasSubstr;

std::string precise(std::string_view more, std::string_view name = "precise-prefix-cache-producer") {
  return "- {type: precise-prefix-cache-producer, name: " + std::string(name) +
         ", parameters: {tokenProcessorConfig: {blockSizeTokens: 4}" + std::string(more) + "}}\n";
}

// Scores are the producer's matches.
std::string with_scorer(std::string_view more) {
  return "plugins:\n" + precise(more) +
         "- {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: "
         "precise-prefix-cache-producer}}\n";
}

std::vector<std::uint32_t> tokens(std::size_t blocks, std::uint32_t first = 1) {
  std::vector<std::uint32_t> all(blocks * 4);
  std::iota(all.begin(), all.end(), first);
  return all;
}

json::Value state_of(const Pool& pool) {
  const json::Value all = pool.picker->debug_state();
  const json::Value* state = json::find(all, "plugins[precise-prefix-cache-producer].state");
  return state != nullptr ? *state : json::Value();
}

std::uint16_t port_of(std::string_view endpoint) {
  return static_cast<std::uint16_t>(std::stoi(std::string(endpoint.substr(endpoint.rfind(':') + 1))));
}

std::unique_ptr<kvcache::EventPublisher> engine_at(std::string endpoint, std::string replay,
                                                   std::string_view address) {
  auto opened = kvcache::EventPublisher::open({.endpoint = std::move(endpoint),
                                               .replay_endpoint = std::move(replay),
                                               .role = kvcache::EventPublisher::Role::Bind,
                                               .topic = "kv@" + std::string(address) + "@m"});
  return opened ? std::move(*opened) : nullptr;
}

// An engine that says all it ever said to whoever asks.
struct Engine {
  Engine()
      : publisher(
            engine_at(std::string(kvcache::kAnyPort), std::string(kvcache::kAnyPort), "127.0.0.1:8000")) {}
  void store(std::size_t blocks, std::string_view medium = "", std::uint32_t first = 1) {
    BlockStored stored{.tokens = tokens(blocks, first), .block_size = 4, .medium = std::string(medium)};
    for (std::size_t i = 0; i < blocks; ++i) {
      stored.hashes.push_back(100 + i);
    }
    publisher->publish({.timestamp = 1, .events = {std::move(stored)}});
  }
  std::string ports() const {
    return fmt::format(", kvEventsConfig: {{podDiscoveryConfig: {{socketPort: {}, replaySocketPort: {}}}}}",
                       port_of(publisher->endpoint()), port_of(publisher->replay_endpoint()));
  }
  std::unique_ptr<kvcache::EventPublisher> publisher;
};

Endpoint local(std::string name, int rank = 0) {
  return {.address = {"127.0.0.1", static_cast<std::uint16_t>(8000 + rank)},
          .name = std::move(name),
          .rank = rank};
}

TEST(PrecisePrefix, ABlockCountsForTheTierThatHasIt) {
  struct Row {
    const char* medium;
    const char* tiers;
    double score;
  };
  for (const Row& row :
       {Row{"GPU", "", 1}, Row{"cpu", "", 0.8}, Row{"CPU", "", 0.8},
        Row{"cpu", ", indexerConfig: {kvCacheBackendConfigs: [{name: CPU, weight: 0.4}]}", 0.4},
        Row{"disk", "", 1}}) {
    Engine engine;
    engine.store(5, row.medium);
    Pool pool(with_scorer(engine.ports() + row.tiers), 0);
    pool.set({local("e0")});
    const auto prompt = tokens(5);
    EXPECT_TRUE(comes_to([&] { return json::int_at(state_of(pool), "blocks").value_or(0) == 5; }));
    EXPECT_THAT(pool.scores("prefix-cache-scorer", {.model = "m", .tokens = prompt}), are({row.score}))
        << row.medium << row.tiers;
  }
}

// Blocks in the engine's memory count less when endpoints are compared, but they need no prefill.
TEST(PrecisePrefix, TheDeciderCountsBlocksOfEveryTierInFull) {
  struct Row {
    std::size_t stored;
    bool prefills;  // of 20 tokens, 4 that are not cached are worth it
  };
  for (const Row& row : {Row{5, false}, Row{4, true}, Row{1, true}}) {
    Engine engine;
    engine.store(row.stored, "cpu");
    Pool pool("plugins:\n" + precise(engine.ports(), "approx-prefix-cache-producer") +
                  R"(- {type: prefill-filter}
- {type: decode-filter}
- {type: prefix-based-pd-decider, parameters: {nonCachedTokens: 4}}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: prefix-based-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)",
              0);
    Endpoint decode = local("d");
    decode.labels["llm-d.ai/role"] = "decode";
    pool.set({decode, labelled("127.0.0.2", {{"llm-d.ai/role", "prefill"}})});
    EXPECT_TRUE(comes_to([&] {
      return json::int_at(pool.picker->debug_state(), "plugins[approx-prefix-cache-producer].state.blocks")
                 .value_or(0) == static_cast<std::int64_t>(row.stored);
    }));
    const auto prompt = tokens(5);
    const auto decision = pool.picker->pick({.id = "r", .model = "m", .tokens = prompt}).value();
    EXPECT_EQ(decision.prefill() != nullptr, row.prefills) << row.stored;
  }
}

TEST(PrecisePrefix, AnEndpointThatLeavesTakesItsBlocksAlong) {
  Engine engine;
  engine.store(3);
  Pool pool(with_scorer(engine.ports()), 0);
  pool.set({local("e0")});
  EXPECT_TRUE(comes_to([&] { return json::int_at(state_of(pool), "blocks").value_or(0) == 3; }));
  pool.set({});
  EXPECT_EQ(json::int_at(state_of(pool), "blocks"), 0);
  EXPECT_EQ(json::int_at(state_of(pool), "subscriptions"), 0);
}

TEST(PrecisePrefix, RanksPublishAtPortsThatFollowEachOther) {
  // The ports behind a free one are often free, too.
  std::unique_ptr<kvcache::EventPublisher> first;
  std::unique_ptr<kvcache::EventPublisher> second;
  for (int attempt = 0; attempt < 50 && second == nullptr; ++attempt) {
    first = engine_at(std::string(kvcache::kAnyPort), "", "127.0.0.1:8000");
    second =
        engine_at(fmt::format("tcp://127.0.0.1:{}", port_of(first->endpoint()) + 1), "", "127.0.0.1:8001");
  }
  ASSERT_NE(second, nullptr) << "no two neighbouring ports are free";
  Pool pool(with_scorer(fmt::format(", kvEventsConfig: {{podDiscoveryConfig: {{socketPort: {}}}}}",
                                    port_of(first->endpoint()))),
            0);
  pool.set({local("rank-0", 0), local("rank-1", 1)});
  EXPECT_EQ(json::int_at(state_of(pool), "subscriptions"), 2);
  const auto prompt = tokens(2);
  // Nobody is told when a subscription stands.
  EXPECT_TRUE(comes_to([&] {
    second->publish(
        {.timestamp = 1, .events = {BlockStored{.hashes = {1, 2}, .tokens = prompt, .block_size = 4}}});
    return json::int_at(state_of(pool), "blocks").value_or(0) == 2;
  }));
  EXPECT_THAT(pool.scores("prefix-cache-scorer", {.model = "m", .tokens = prompt}), are({0, 1}));
}

TEST(PrecisePrefix, WithoutDiscoveryNobodyIsFollowed) {
  Engine engine;
  engine.store(3);
  std::string config = with_scorer(engine.ports());
  config.replace(config.find("podDiscoveryConfig"), 0, "discoverPods: false, ");
  Pool pool(config, 0);
  pool.set({local("e0")});
  EXPECT_FALSE(json::int_at(state_of(pool), "subscriptions"));
  const auto prompt = tokens(3);
  EXPECT_THAT(pool.scores("prefix-cache-scorer", {.model = "m", .tokens = prompt}), are({0}));
}

constexpr std::string_view kSpeculative = ", speculativeIndexing: true, speculativeTTL: 1h";

TEST(PrecisePrefix, WhatWasSentIsExpectedAtBothStages) {
  Pool pool(
      "plugins:\n" + precise(kSpeculative) +
          R"(- {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}}
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer}]}
)",
      0);
  std::vector<Endpoint> all;
  for (const char* name : {"p0", "p1", "d0", "d1"}) {
    all.push_back(labelled(name, {{"llm-d.ai/role", name[0] == 'p' ? "prefill" : "decode"}}));
  }
  pool.set(all);
  const auto prompt = tokens(4);
  const Request request{.id = "r", .model = "m", .tokens = prompt};
  const auto first = pool.picker->pick(request).value();
  for (int i = 0; i < 10; ++i) {
    const auto again = pool.picker->pick(request).value();
    EXPECT_EQ(again.endpoint().name, first.endpoint().name);
    EXPECT_EQ(again.prefill()->name, first.prefill()->name);
  }
  const json::Value last = pool.picker->explain_last(1);
  for (const char* profile : {"[0].profiles[0]", "[0].profiles[1]"}) {
    double sum = 0;
    for (const json::Value& endpoint : *json::array_at(last, std::string(profile) + ".endpoints")) {
      sum += json::double_at(endpoint, "scores[prefix-cache-scorer]").value_or(0);
    }
    EXPECT_EQ(sum, 1) << profile;
  }
}

TEST(PrecisePrefix, SaltsAndPicturesKeepPromptsApart) {
  const auto prompt = tokens(4);
  const kvcache::PlacedItem cat[] = {{.id = "cat", .offset = 5, .length = 2}};
  const kvcache::PlacedItem dog[] = {{.id = "dog", .offset = 5, .length = 2}};
  const Request plain{.id = "r", .model = "m", .tokens = prompt};
  Request salted = plain;
  salted.cache_salt = "tenant";
  Request of_cat = plain;
  of_cat.placed_media = cat;
  Request of_dog = plain;
  of_dog.placed_media = dog;
  struct Row {
    const Request& sent;
    const Request& asked;
    double score;
  };
  for (const Row& row :
       {Row{plain, plain, 1}, Row{plain, salted, 0}, Row{salted, salted, 1}, Row{salted, plain, 0},
        Row{of_cat, of_cat, 1}, Row{of_cat, of_dog, 0.25}, Row{of_cat, plain, 0.25}}) {
    Pool pool(with_scorer(kSpeculative), 1);
    EXPECT_TRUE(pool.picker->pick(row.sent));
    EXPECT_THAT(pool.scores("prefix-cache-scorer", row.asked), are({row.score}));
  }
}

TEST(PrecisePrefix, ARequestThatIsCancelledLeavesItsExpectation) {
  Pool pool(with_scorer(kSpeculative), 1);
  const auto prompt = tokens(4);
  {
    const auto abandoned = pool.picker->pick({.id = "r", .model = "m", .tokens = prompt});
    EXPECT_TRUE(abandoned);
  }
  EXPECT_THAT(pool.scores("prefix-cache-scorer", {.id = "s", .model = "m", .tokens = prompt}), are({1}));
}

Result<std::unique_ptr<Picker>> loaded(std::string_view config) {
  return Picker::from_config(config, "precise", {.load = {.allow_experimental = true}});
}

TEST(PreciseScorer, UsesTheProducerThatIsThere) {
  Pool pool("plugins:\n" + precise(kSpeculative, "mine") + "- {type: precise-prefix-cache-scorer}\n", 2);
  const auto prompt = tokens(4);
  const Request request{.id = "r", .model = "m", .tokens = prompt};
  const std::string first = pool.pick(request);
  EXPECT_THAT(pool.scores("precise-prefix-cache-scorer", request), first == "e0" ? are({1, 0}) : are({0, 1}));
  const json::Value state = pool.picker->debug_state();
  EXPECT_NE(json::find(state, "plugins[mine].state.blockSize"), nullptr);
  EXPECT_EQ(json::find(state, "plugins[precise-prefix-cache-scorer].state"), nullptr) << "no second index";
}

TEST(PreciseScorer, HasAnIndexOfItsOwnWhereNobodyElseHas) {
  Pool pool(only("precise-prefix-cache-scorer",
                 "{tokenProcessorConfig: {blockSizeTokens: 4}, "
                 "indexerConfig: {tokenizersPoolConfig: {modelName: m}}}"),
            1);
  const json::Value state = pool.picker->debug_state();
  EXPECT_EQ(json::int_at(state, "plugins[precise-prefix-cache-scorer].state.blockSize"), 4);
}

TEST(PreciseScorer, CannotChooseBetweenTwoProducers) {
  const auto made = loaded("plugins:\n" + precise("", "one") + precise("", "two") +
                           "- {type: precise-prefix-cache-scorer}\n");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text(), HasSubstr("prefixMatchInfoProducerName"));
}

TEST(PreciseProducer, RefusesWhatItNoLongerDoes) {
  for (const char* gone : {", indexerConfig: {tokenizersPoolConfig: {modelName: m}}",
                           ", indexerConfig: {kvBlockIndexConfig: {valkeyConfig: {address: a}}}"}) {
    EXPECT_FALSE(loaded(with_scorer(gone))) << gone;
  }
  EXPECT_TRUE(loaded(with_scorer(", indexerConfig: {kvBlockIndexConfig: {redisConfig: {address: a}}}")));
}

}  // namespace
}  // namespace llmd::picker
