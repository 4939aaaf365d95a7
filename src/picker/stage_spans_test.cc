// Spans of what surrounds the profiles: stages, and where a prompt is cached.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "picker/plugins/testing_pool.h"
#include "picker/spans.h"
#include "trace/testing_spans.h"

namespace llmd::picker {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

class StageSpansTest : public testing::Test {
 protected:
  PickResult<Decision> pick(Pool& pool, const Request& request, bool traced = true) {
    collected_.spans.clear();
    return pool.picker->pick(request, {}, traced ? &parent_ : nullptr);
  }

  trace::CollectedSpans collected_;
  const trace::Tracer tracer_{{.ratio = 1}, collected_};
  const SpanParent parent_{tracer_, {.trace = {1, 2}, .span = 3, .sampled = true}};
};

constexpr std::string_view kStages = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: HANDLER}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";

std::string stages(std::string_view handler) {
  std::string config(kStages);
  config.replace(config.find("HANDLER"), 7, handler);
  return config;
}

TEST_F(StageSpansTest, AHandlerSaysWhichStagesItChose) {
  struct Row {
    const char* handler;
    const char* span;
    bool prefill_endpoint;
    const char* decision;
  };
  constexpr const char* kDisagg =
      "disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}";
  constexpr const char* kPd = "pd-profile-handler, parameters: {deciderPluginName: always-disagg-pd-decider}";
  for (const Row& row : {Row{kDisagg, "pick_disagg_profile", true, "prefill-decode"},
                         Row{kDisagg, "pick_disagg_profile", false, "decode-only"},
                         Row{kPd, "pick_pd_profile", true, "prefill-decode"}}) {
    Pool pool(stages(row.handler), 0);
    std::vector<Endpoint> all{labelled("d", {{"llm-d.ai/role", "decode"}})};
    if (row.prefill_endpoint) {
      all.push_back(labelled("p", {{"llm-d.ai/role", "prefill"}}));
    }
    pool.set(all);
    ASSERT_TRUE(pick(pool, {.id = "r", .model = "m"}));
    const auto& handler = collected_.named(row.span);
    EXPECT_EQ(handler.parent, 3U);
    EXPECT_EQ(text_of(handler, "llm_d.profile_handler.decision"), row.decision);
    EXPECT_FALSE(trace::attribute_of<bool>(handler, "llm_d.profile_handler.decode_failed"));
    EXPECT_EQ(text_of(handler, "gen_ai.request.id"), "r");
    EXPECT_EQ(text_of(handler, "gen_ai.request.model"), "m");
    EXPECT_EQ(collected_.named("prepare_disaggregation").parent, 3U);
    EXPECT_EQ(std::ranges::count(collected_.names(), "run_scheduler_profile"), 2) << "one for each that ran";
  }
}

TEST_F(StageSpansTest, WithoutADecodeEndpointTheHandlerSaysThatToo) {
  Pool pool(stages("disagg-profile-handler"), 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}})});
  const auto refused = pick(pool, {.id = "r", .model = "m"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, reason::kSaturated)
      << "what the filters did is said, not what came of it";
  EXPECT_EQ(refused.error().message, "no endpoints available for the given request");
  EXPECT_TRUE(trace::attribute_of<bool>(collected_.named("pick_disagg_profile"),
                                        "llm_d.profile_handler.decode_failed"));
  EXPECT_THAT(collected_.names(), Not(Contains("prepare_disaggregation")));
}

TEST_F(StageSpansTest, LookingUpWhatIsCachedIsSeenStepByStep) {
  Pool pool(
      "plugins: [{type: precise-prefix-cache-scorer, parameters: {speculativeIndexing: true, "
      "tokenProcessorConfig: {blockSizeTokens: 16}, kvEventsConfig: {discoverPods: false}}}]\n",
      2);
  std::vector<std::uint32_t> tokens(64);
  std::iota(tokens.begin(), tokens.end(), 1);
  ASSERT_TRUE(pick(pool, {.id = "r", .model = "m", .tokens = tokens}));
  const auto& produced = collected_.named("produce_precise_prefix_cache");
  const auto& scored = collected_.named("score_tokens");
  EXPECT_EQ(produced.parent, 3U);
  EXPECT_EQ(number_of(produced, "llm_d.kv_cache.tokens"), 64);
  EXPECT_EQ(scored.parent, produced.context.span);
  EXPECT_EQ(number_of(scored, "llm_d.kv_cache.blocks"), 4);
  EXPECT_EQ(collected_.named("index_lookup").parent, scored.context.span);
  EXPECT_EQ(collected_.named("compute_scores").parent, scored.context.span);
  EXPECT_EQ(number_of(collected_.named("score_prefix_cache"), "llm_d.scorer.candidate_endpoints"), 2);
  EXPECT_EQ(collected_.named("index_add").parent, 3U);
  ASSERT_TRUE(pick(pool, {.id = "r", .model = "m"}));
  EXPECT_THAT(collected_.names(), Not(Contains("score_tokens"))) << "there is nothing to look up";
}

TEST_F(StageSpansTest, MediaThatAnEndpointHasEncodedAreAHit) {
  Pool pool("plugins: [{type: mm-embeddings-cache-scorer}]\n", 1);
  const std::vector<openai::MediaItem> media{{.hash = 1, .modality = openai::Modality::Image},
                                             {.hash = 2, .modality = openai::Modality::Image}};
  for (const bool hit : {false, true}) {
    ASSERT_TRUE(pick(pool, {.id = "r", .model = "m", .multimodal = true, .media = media}));
    const auto& looked = collected_.named("produce_mm_embeddings_cache");
    EXPECT_EQ(text_of(looked, "mm.modality"), "image");
    EXPECT_EQ(number_of(looked, "mm.hash_count"), 2);
    EXPECT_EQ(trace::attribute_of<bool>(looked, "mm.hit"), hit);
  }
}

TEST_F(StageSpansTest, WithoutAParentNothingIsMade) {
  Pool pool(stages("disagg-profile-handler"), 0);
  pool.set({labelled("d", {{"llm-d.ai/role", "decode"}})});
  ASSERT_TRUE(pick(pool, {.id = "r", .model = "m"}, false));
  EXPECT_THAT(collected_.spans, IsEmpty());
  ASSERT_TRUE(pick(pool, {.id = "r", .model = "m"}));
  ASSERT_TRUE(pool.picker->pick({.id = "r", .model = "m"}));
  EXPECT_EQ(std::ranges::count(collected_.names(), "pick_disagg_profile"), 1)
      << "the next request of this thread has no part in an earlier one's trace";
}

}  // namespace
}  // namespace llmd::picker
