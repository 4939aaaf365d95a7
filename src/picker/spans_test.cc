// What a decision adds to a request's trace.
#include "picker/spans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event_loop.h"
#include "picker/picker.h"
#include "trace/testing_spans.h"

namespace llmd::picker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kConfig = R"(
featureGates: [flowControl]
plugins:
- {type: queue-scorer, name: queue}
- {type: max-score-picker}
- {type: concurrency-detector, parameters: {maxConcurrency: 8}}
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: queue, weight: 2}, {pluginRef: max-score-picker}]
)";

class DecisionSpansTest : public testing::Test {
 protected:
  void start(std::string_view config, int endpoints) {
    picker_ = Picker::from_config(config, "x").value();
    std::vector<Endpoint> made;
    for (int i = 1; i <= endpoints; ++i) {
      made.push_back({.address = {fmt::format("10.0.0.{}", i), 8000}, .name = fmt::format("e{}", i)});
    }
    picker_->update(std::move(made));
  }
  PickResult<Decision> decide(const SpanParent* parent) {
    return loop_.block_on(picker_->decide({.id = "r", .model = "m"}, async::Deadline::never(), parent));
  }

  trace::CollectedSpans collected_;
  const trace::Tracer tracer_{{.ratio = 1}, collected_};
  const SpanParent parent_{tracer_, {.trace = {1, 2}, .span = 3, .sampled = true}};
  async::EventLoop loop_;
  std::unique_ptr<Picker> picker_;
};

TEST_F(DecisionSpansTest, TheWaitAndEachStepOfTheProfileAreSpansInTheirPlaces) {
  start(kConfig, 7);
  const auto decided = decide(&parent_);
  ASSERT_TRUE(decided);
  EXPECT_THAT(collected_.names(),
              ElementsAre("flow_control_wait", "filter_endpoints", "llm_d.epp.scorer.queue-scorer",
                          "llm_d.epp.scoring", "pick_endpoints", "run_scheduler_profile"));
  const auto& profile = collected_.named("run_scheduler_profile");
  const auto& scoring = collected_.named("llm_d.epp.scoring");
  const auto& scorer = collected_.named("llm_d.epp.scorer.queue-scorer");
  const auto& picked = collected_.named("pick_endpoints");
  EXPECT_EQ(collected_.named("flow_control_wait").parent, 3U);
  EXPECT_EQ(profile.parent, 3U);
  EXPECT_EQ(scoring.parent, profile.context.span);
  EXPECT_EQ(picked.parent, profile.context.span);
  EXPECT_EQ(scorer.parent, scoring.context.span);
  EXPECT_EQ(text_of(profile, "llm_d.epp.scheduling.profile.name"), "default");
  const auto& filtered = collected_.named("filter_endpoints");
  EXPECT_EQ(number_of(filtered, "llm_d.epp.filter.candidate_endpoints"), 7);
  EXPECT_EQ(number_of(filtered, "llm_d.epp.filter.filtered_endpoints"), 7);
  EXPECT_EQ(number_of(scoring, "llm_d.epp.scorer.count"), 1);
  EXPECT_EQ(trace::attribute_of<double>(scorer, "llm_d.epp.scorer.weight"), 2);
  EXPECT_EQ(trace::attribute_of<double>(scorer, "llm_d.epp.scorer.score.max"), 1);
  EXPECT_EQ(text_of(picked, "llm_d.epp.picker.picked_endpoint"), decided->destinations());
  const auto best = text_of(picked, "llm_d.epp.picker.top_endpoints");
  EXPECT_EQ(std::ranges::count(best, ','), 4) << "five of seven: " << best;
}

TEST_F(DecisionSpansTest, AProfileWhoseFiltersLeaveNobodySaysSo) {
  start(R"(
plugins:
- {type: label-selector-filter, name: never, parameters: {matchLabels: {absent: "yes"}}}
- {type: max-score-picker}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: never}, {pluginRef: max-score-picker}]
)",
        2);
  EXPECT_FALSE(decide(&parent_));
  EXPECT_THAT(collected_.names(), ElementsAre("filter_endpoints", "run_scheduler_profile"));
  EXPECT_EQ(number_of(collected_.spans[0], "llm_d.epp.filter.filtered_endpoints"), 0);
  EXPECT_THAT(collected_.spans[1].error.value_or(""), HasSubstr("no endpoint"));
}

TEST_F(DecisionSpansTest, WithoutAParentThereAreNone) {
  start(kConfig, 2);
  EXPECT_TRUE(decide(nullptr));
  EXPECT_THAT(collected_.spans, IsEmpty());
}

}  // namespace
}  // namespace llmd::picker
