// What the page says of requests, by a clock that the test moves, and how many names it may grow to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/metrics/request_metrics.h"
#include "picker/picker.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;

class RequestMetricsTest : public testing::Test {
 protected:
  RequestMetricsTest()
      : picker_(
            Picker::from_config("", "x", {.metrics = &registry_, .clock = &clock_, .request_metrics = true})
                .value()) {
    picker_->update({{.address = {"10.0.0.1", 8000}, .name = "a"}});
  }
  Decision pick(Request request) { return picker_->pick(request).value(); }
  std::optional<double> shown(std::string_view name, metrics::Exposition::Labels labels = {}) {
    return metrics::parse_exposition(registry_.write_text())
        ->value("llm_d_epp_request_" + std::string(name), labels);
  }

  HandClock clock_;
  metrics::Registry registry_;
  std::unique_ptr<Picker> picker_;
};

TEST_F(RequestMetricsTest, TimesAreThoseOfThePickersClock) {
  Decision decision = pick({.model = "m", .stream = true, .received = clock_.now()});
  EXPECT_EQ(shown("running", {{"model_name", "m"}}), 1);
  clock_.pass(milliseconds(300));
  decision.first_token();
  decision.piece();
  clock_.pass(milliseconds(1000));
  for (int i = 0; i < 32; ++i) {
    decision.piece();
  }
  decision.complete({.usage = {.prompt_tokens = 7, .completion_tokens = 11}});
  EXPECT_DOUBLE_EQ(shown("ttft_seconds_sum", {{"streaming", "true"}}).value_or(0), 0.3);
  EXPECT_DOUBLE_EQ(shown("duration_seconds_sum").value_or(0), 1.3);
  EXPECT_DOUBLE_EQ(shown("streaming_tpot_seconds_sum").value_or(0), 0.1) << "ten gaps in a second";
  EXPECT_DOUBLE_EQ(shown("ntpot_seconds_sum").value_or(0), 1.3 / 11);
  EXPECT_EQ(shown("streaming_itl_seconds_count"), 1) << "between the 32nd piece and the next";
  EXPECT_EQ(shown("running", {{"model_name", "m"}}), 0);
}

TEST_F(RequestMetricsTest, AnAnswerThatIsNoStreamHasNoTimesBetweenTokens) {
  Decision decision = pick({.model = "m", .received = clock_.now()});
  clock_.pass(milliseconds(500));
  decision.first_token();
  decision.complete({.usage = {.completion_tokens = 5}});
  EXPECT_DOUBLE_EQ(shown("ttft_seconds_sum", {{"streaming", "false"}}).value_or(0), 0.5);
  EXPECT_EQ(shown("streaming_tpot_seconds_count"), std::nullopt);
}

TEST_F(RequestMetricsTest, WhoLeavesOrIsEvictedHasEndedToo) {
  for (const EndCause cause : {EndCause::ClientGone, EndCause::Evicted, EndCause::Failed}) {
    Decision decision = pick({.model = "m"});
    EXPECT_EQ(shown("running", {{"model_name", "m"}}), 1);
    decision.complete({.cause = cause, .status = 0});
    EXPECT_EQ(shown("running", {{"model_name", "m"}}), 0);
  }
  {
    const Decision dropped = pick({.model = "m"});
  }
  EXPECT_EQ(shown("running", {{"model_name", "m"}}), 0);
  EXPECT_EQ(shown("total", {{"model_name", "m"}}), 4);
}

TEST_F(RequestMetricsTest, AFloodOfNamesSharesOneAndKnownOnesKeepTheirs) {
  RequestMetrics metrics;
  metrics.know_model("pinned");
  Decision::Memory memory;
  memory.target_model = "t";
  memory.fairness_id = "f";
  memory.model = "early";
  metrics.began(memory);
  for (int i = 0; i < 1100; ++i) {
    memory.model = fmt::format("made-up-{}", i);
    metrics.began(memory);
  }
  memory.model = "pinned";
  metrics.began(memory);
  memory.model = "early";
  metrics.began(memory);
  Page page;
  metrics.write(page);
  std::string text;
  metrics::TextWriter writer(text);
  page.write(writer);
  const auto shown_page = metrics::parse_exposition(text).value();
  const auto count = [&](std::string_view model) {
    return shown_page.value("llm_d_epp_request_total", {{"model_name", model}});
  };
  EXPECT_EQ(count("pinned"), 1) << "named by configuration: the flood does not count";
  EXPECT_EQ(count("early"), 2);
  EXPECT_EQ(count("made-up-1099"), std::nullopt);
  EXPECT_GE(count("other").value_or(0), 100);
}

}  // namespace
}  // namespace llmd::picker
