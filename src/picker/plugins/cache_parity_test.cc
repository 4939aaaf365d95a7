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

using openai::MediaItem;
using openai::Modality;

Request with_media(std::span<const MediaItem> items) {
  return {.multimodal = true, .media = items};
}

Scores media_scores(Pool& pool, std::vector<MediaItem> items) {
  return pool.scores("mm-embeddings-cache-scorer", with_media(items));
}

constexpr MediaItem picture(std::uint64_t hash, std::int64_t tokens = 1) {
  return {.hash = hash, .modality = Modality::Image, .tokens = tokens};
}

TEST(EncoderCache, ScoresAreTheShareOfTokensWhoseItemsAnEndpointHasSeen) {
  struct Row {
    std::vector<MediaItem> asked;
    std::initializer_list<double> scores;
  };
  const MediaItem first[] = {picture(1), picture(2)};
  const MediaItem second[] = {picture(2), picture(3), picture(4), picture(5)};
  for (const Row& row : {
           Row{{picture(1), picture(2), picture(3), picture(9)}, {0.5, 0.5, 0}},
           Row{{picture(1), picture(2)}, {1, 0.5, 0}},
           Row{{picture(9)}, {0, 0, 0}},
           Row{{}, {0, 0, 0}},
           Row{{picture(1, 900), picture(3, 100)}, {0.9, 0.1, 0}},
           Row{{picture(1, 0), picture(3, 0)}, {0.5, 0.5, 0}},
       }) {
    Pool pool(with_megabytes("4096"), 3);
    send(pool, with_media(first), 0);
    send(pool, with_media(second), 1);
    EXPECT_THAT(media_scores(pool, row.asked), are(row.scores));
  }
}

TEST(EncoderCache, OldItemsMakeRoomForNewOnes) {
  Pool pool(with_megabytes("4"), 2);  // two items
  const MediaItem items[] = {picture(1), picture(2), picture(1), picture(3)};
  for (const MediaItem& item : items) {
    send(pool, with_media({&item, 1}), 0);
  }
  EXPECT_THAT(media_scores(pool, {picture(1), picture(3)}), are({1, 0}));
  EXPECT_THAT(media_scores(pool, {picture(2)}), are({0, 0}));
}

TEST(EncoderCache, AnEndpointThatComesBackHasForgottenAndOthersHaveNot) {
  Pool pool(with_megabytes("4096"), 2);
  const MediaItem item[] = {picture(1)};
  send(pool, with_media(item), 0);
  send(pool, with_media(item), 1);
  const auto one = [](std::string name) {
    return Endpoint{.address = {"10.0.0." + name.substr(1), 8000}, .name = name};
  };
  pool.set({one("e1")});
  pool.set({one("e0"), one("e1")});
  EXPECT_THAT(media_scores(pool, {picture(1)}), are({0, 1}));
}

TEST(EncoderCache, OnlyTheEndpointThatAnswersLearns) {
  Pool pool(R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: mm-embeddings-cache-producer}
- {type: mm-embeddings-cache-scorer}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)",
            0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const MediaItem item[] = {picture(1)};
  ASSERT_TRUE(pool.picker->pick(with_media(item)));
  const json::Value state = pool.picker->debug_state();
  const json::Value* items = json::find(state, "plugins[mm-embeddings-cache-producer].state.items");
  ASSERT_NE(items, nullptr);
  EXPECT_EQ(json::write(*items), R"({"default/d":1})");
}

TEST(EncoderCache, CountsItemsByTheirKind) {
  metrics::Registry registry;
  const auto picker = Picker::from_config(with_megabytes("4096"), "media", {.metrics = &registry}).value();
  picker->update({{.address = {"10.0.0.1", 1}, .name = "only"}});
  const MediaItem items[] = {picture(1), picture(2), {3, Modality::Audio, 5}};
  EXPECT_TRUE(picker->pick(with_media(items)));
  EXPECT_TRUE(picker->pick(with_media({items, 1})));
  const auto page = metrics::parse_exposition(registry.write_text());
  const auto count = [&](std::string_view what, std::string_view modality) {
    return page->value("llm_d_epp_encoder_cache_" + std::string(what) + "_total",
                       {{"modality", std::string(modality)}});
  };
  EXPECT_EQ(count("queries", "image"), 3);
  EXPECT_EQ(count("hits", "image"), 1);
  EXPECT_EQ(count("queries", "audio"), 1);
  EXPECT_EQ(count("hits", "audio"), 0);
  EXPECT_EQ(count("queries", "video"), 0);
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
  const Endpoint self = *pool.picker->endpoints()->described[0];
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
