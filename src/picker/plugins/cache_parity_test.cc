// What the encoder cache, bursts and in-flight load know of endpoints, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

const std::string kMedia =
    "plugins: [{type: mm-embeddings-cache-producer, parameters: {cacheSizeInMBPerServer: MB}}, "
    "{type: mm-embeddings-cache-scorer}]\n";

std::string with_megabytes(std::string megabytes) {
  std::string config = kMedia;
  return config.replace(config.find("MB}"), 2, megabytes);
}

// The request is sent to `endpoint`.
void send(Pool& pool, const Request& request, std::size_t endpoint) {
  const auto all = pool.picker->endpoints()->endpoints;
  std::vector<EndpointPtr> others = all;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(endpoint));
  ASSERT_TRUE(pool.picker->pick(request, others));
}

Scores media_scores(Pool& pool, std::vector<std::uint64_t> items) {
  return pool.scores("mm-embeddings-cache-scorer", {.multimodal = true, .media = items});
}

TEST(EncoderCache, ScoresAreTheShareOfItemsThatAnEndpointHasSeen) {
  Pool pool(with_megabytes("4096"), 3);
  const std::uint64_t first[] = {1, 2};
  const std::uint64_t second[] = {2, 3, 4, 5};
  send(pool, {.multimodal = true, .media = first}, 0);
  send(pool, {.multimodal = true, .media = second}, 1);
  EXPECT_EQ(pool.pick({.multimodal = true, .media = second}), "e1");
  Pool other(with_megabytes("4096"), 3);
  send(other, {.multimodal = true, .media = first}, 0);
  send(other, {.multimodal = true, .media = second}, 1);
  EXPECT_THAT(media_scores(other, {1, 2, 3, 9}), are({0.5, 0.5, 0}));
  EXPECT_THAT(media_scores(other, {}), are({0, 0, 0}));
}

TEST(EncoderCache, OldItemsMakeRoomForNewOnes) {
  Pool pool(with_megabytes("4"), 2);  // two items
  const std::uint64_t items[] = {1, 2, 3};
  for (const std::uint64_t& item : items) {
    send(pool, {.multimodal = true, .media = {&item, 1}}, 0);
  }
  EXPECT_THAT(media_scores(pool, {2, 3}), are({1, 0}));
  EXPECT_THAT(media_scores(pool, {1}), are({0, 0}));
}

TEST(EncoderCache, AnEndpointThatComesBackHasForgotten) {
  Pool pool(with_megabytes("4096"), 2);
  const std::uint64_t item[] = {1};
  send(pool, {.multimodal = true, .media = item}, 0);
  const auto one = [](std::string name) {
    return Endpoint{.address = {"10.0.0." + name.substr(1), 8000}, .name = name};
  };
  pool.set({one("e1")});
  pool.set({one("e0"), one("e1")});
  EXPECT_THAT(media_scores(pool, {1}), are({0, 0}));
}

std::string burst(std::string_view parameters) {
  return "plugins: [{type: burst-prefix-cache-producer, parameters: " + std::string(parameters) +
         "}, {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: "
         "burst-prefix-cache-producer}}, {type: queue-scorer}, {type: max-score-picker, parameters: {ties: "
         "turn}}]\n";
}

// Prompts of four blocks: `lead` and `tail` say which.
struct Story {
  Story(std::uint64_t lead, std::uint64_t tail) : units{lead, lead, lead, lead, lead, lead, lead, lead} {
    units.resize(16, tail);
  }
  Request request() const {
    return {.id = "r", .model = "m", .prompt_bytes = units.size() * 64, .prompt_units = units};
  }
  std::vector<std::uint64_t> units;
};

TEST(Burst, PromptsOfAKindStayTogetherUpToTheirShare) {
  struct Row {
    const char* parameters;
    std::vector<Story> burst;
    int together;  // requests on the endpoint that has the most
  };
  const Story a(1, 1);
  const Story a2(1, 2);
  const Story b(3, 3);
  for (const Row& row : {
           Row{"{windowDurationMs: 10000}", {a, a}, 2},
           Row{"{windowDurationMs: 10000}", {a, a2}, 1},
           Row{"{windowDurationMs: 10000, minColocateBlocks: 2}", {a, a2}, 2},
           Row{"{windowDurationMs: 10000, minColocateBlocks: 3}", {a, a2}, 1},
           Row{"{windowDurationMs: 10000, minColocateBlocks: 9}", {a, a}, 2},
           Row{"{windowDurationMs: 10000}", {a, b}, 1},
           Row{"{windowDurationMs: 10000, maxPerReplica: 1}", {a, a}, 1},
           Row{"{windowDurationMs: 10000, maxPerReplica: 3}", {a, a, a}, 3},
           Row{"{windowDurationMs: 10000}", {a, a, a}, 2},
           Row{"{windowDurationMs: 10000, balanceBy: tokens}", {a, a, a}, 3},
           Row{"{windowDurationMs: 10000, maxPrefixTokensToMatch: 128}", {a, a2}, 2},
       }) {
    Pool pool(burst(row.parameters), 3);
    std::map<std::string, int> taken;
    for (const Story& story : row.burst) {
      ++taken[pool.pick(story.request())];
    }
    int most = 0;
    for (const auto& [name, count] : taken) {
      most = std::max(most, count);
    }
    EXPECT_EQ(most, row.together) << row.parameters << " " << row.burst.size();
  }
}

TEST(Burst, TheNextWindowBeginsAnew) {
  struct Hours final : Clock {
    TimePoint now() const override { return at; }
    WallTime wall_now() const override { return {}; }
    TimePoint at{std::chrono::hours(1)};
  } clock;
  auto picker = Picker::from_config(burst("{windowDurationMs: 100}"), "burst",
                                    {.load = {.allow_experimental = true, .seed = 7}, .clock = &clock})
                    .value();
  picker->update({{.address = {"10.0.0.0", 1}, .name = "e0"}, {.address = {"10.0.0.1", 1}, .name = "e1"}});
  const Story a(1, 1);
  const auto matched = [&] {
    EXPECT_TRUE(picker->pick(a.request()));
    const json::Value last = picker->explain_last(1);
    double best = 0;
    for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
      best = std::max(best, json::double_at(endpoint, "scores[prefix-cache-scorer]").value_or(-1));
    }
    return best;
  };
  EXPECT_EQ(matched(), 0);
  EXPECT_EQ(matched(), 1);
  clock.at += std::chrono::milliseconds(101);
  EXPECT_EQ(matched(), 0);
}

std::string inflight(std::string_view parameters = "{}") {
  return "plugins: [{type: inflight-load-producer, parameters: " + std::string(parameters) +
         "}, {type: prefix-cache-scorer}, {type: max-score-picker}]\n";
}

TEST(InflightLoad, CountsWhatTheEndpointHasToRead) {
  struct Row {
    const char* parameters;
    std::int64_t prompt;
    std::int64_t limit;  // of the client for the answer; 0: none
    std::int64_t tokens;
  };
  for (const Row& row :
       {Row{"{}", 1000, 0, 1000}, Row{"{addEstimatedOutputTokens: true}", 1000, 0, 2500},
        Row{"{addEstimatedOutputTokens: true}", 1000, 50, 1050},
        Row{"{addEstimatedOutputTokens: true, outputRatio: 0.1}", 1000, 0, 1100},
        Row{"{addEstimatedOutputTokens: true, maxEstimatedOutputTokens: 30}", 1000, 50, 1030},
        Row{"{addEstimatedOutputTokens: true, outputRatio: 0}", 1000, 0, 1000}}) {
    Pool pool(inflight(row.parameters), 1);
    const auto decision =
        pool.picker->pick({.model = "m", .estimated_tokens = row.prompt, .max_tokens = row.limit}).value();
    EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->tokens(), row.tokens) << row.parameters << row.limit;
  }
}

TEST(InflightLoad, WhatIsCachedNeedsNoReading) {
  Pool pool(inflight(), 1);
  const Prompt prompt(10);  // 640 tokens
  warm(pool, prompt, 0);
  Request longer = prompt.request();
  longer.estimated_tokens = 700;
  const auto decision = pool.picker->pick(longer).value();
  EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->tokens(), 60);
}

TEST(InflightLoad, TokensEndWithTheFirstByteAndRequestsWithTheAnswer) {
  Pool pool(inflight(), 1);
  const auto endpoint = pool.picker->endpoints()->endpoints[0];
  auto decision = pool.picker->pick({.model = "m", .estimated_tokens = 100}).value();
  EXPECT_EQ(endpoint->tokens(), 100);
  decision.first_token();
  EXPECT_EQ(endpoint->tokens(), 0);
  EXPECT_EQ(endpoint->running(), 1);
  decision.first_token();
  EXPECT_EQ(endpoint->tokens(), 0) << "once";
  decision.complete({});
  decision.complete({});
  EXPECT_EQ(endpoint->running(), 0);
}

TEST(InflightLoad, AnEndpointThatFlapsKeepsItsRequestsAndNeverHasFewerThanNone) {
  Pool pool(inflight(), 1);
  const Endpoint self = pool.picker->endpoints()->endpoints[0]->endpoint;
  auto early = pool.picker->pick({.model = "m", .estimated_tokens = 100}).value();
  pool.set({});
  pool.set({self});
  const auto back = pool.picker->endpoints()->endpoints[0];
  early.complete({});
  EXPECT_GE(back->running(), 0);
  EXPECT_GE(back->tokens(), 0);
  const auto late = pool.picker->pick({.model = "m", .estimated_tokens = 100}).value();
  EXPECT_EQ(back->running(), 1);
  EXPECT_EQ(back->tokens(), 100);
}

}  // namespace
}  // namespace llmd::picker
