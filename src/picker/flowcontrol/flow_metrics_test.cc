// What the page and the log say of flow control.
#include "picker/flowcontrol/flow_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "metrics/text_reader.h"
#include "picker/flowcontrol/drop_summary.h"

namespace llmd::picker {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FlowMetricsTest : public testing::Test {
 protected:
  metrics::Exposition page() {
    Page page;
    metrics_.write(page, "pool", now_);
    std::string text;
    metrics::TextWriter writer(text);
    page.write(writer);
    return metrics::parse_exposition(text).value();
  }
  std::optional<double> shown(std::string_view name, metrics::Exposition::Labels labels) {
    return page().value(name, labels);
  }
  void serve(std::string_view flow) {
    metrics_.queued({flow, 0, "m", "m"}, Duration(1), now_);
    metrics_.finished({flow, 0, "m", "m"}, "Dispatched", Duration(1), now_);
  }
  static constexpr std::string_view kWaited = "llm_d_epp_flow_control_request_queue_duration_seconds_count";
  static constexpr std::string_view kTotal = "llm_d_epp_flow_control_requests_total";

  FlowMetrics metrics_;
  TimePoint now_{std::chrono::hours(1)};
};

TEST_F(FlowMetricsTest, SeriesOfAnIdleFlowLeaveThePageAndTotalsStay) {
  serve("gone");
  now_ += minutes(3);
  serve("here");
  now_ += minutes(3);
  EXPECT_EQ(shown(kWaited, {{"fairness_id", "gone"}}), std::nullopt);
  EXPECT_EQ(shown("inference_extension_flow_control_request_enqueue_duration_seconds_count",
                  {{"fairness_id", "gone"}}),
            std::nullopt);
  EXPECT_EQ(shown(kWaited, {{"fairness_id", "here"}}), 1);
  EXPECT_EQ(shown(kTotal, {{"outcome", "Dispatched"}}), 2) << "a counter never falls";
  serve("gone");
  EXPECT_EQ(shown(kWaited, {{"fairness_id", "gone"}}), 1) << "it begins anew";
}

TEST_F(FlowMetricsTest, AFloodOfFlowsSharesOneSeriesThatStays) {
  for (int i = 0; i < 5200; ++i) {  // each has two series
    serve(fmt::format("flow-{}", i));
  }
  const auto flooded = page();
  const auto others = flooded.value(kWaited, {{"fairness_id", "other"}});
  EXPECT_GT(others, 100);
  EXPECT_EQ(flooded.value(kWaited, {{"fairness_id", "flow-1"}}), 1);
  EXPECT_EQ(flooded.value(kTotal, {{"outcome", "Dispatched"}}), 5200);
  now_ += minutes(10);
  serve("late");
  const auto later = page();
  EXPECT_EQ(later.value(kWaited, {{"fairness_id", "flow-1"}}), std::nullopt);
  EXPECT_EQ(later.value(kWaited, {{"fairness_id", "other"}}), others);
  EXPECT_EQ(later.value(kWaited, {{"fairness_id", "late"}}), 1) << "there is room again";
}

class DropSummaryTest : public testing::Test {
 protected:
  void SetUp() override {
    log::set_sink([this](log::Level, std::string_view line) { lines_.emplace_back(line); });
  }
  void TearDown() override { log::set_sink({}); }
  std::vector<std::string> lines() { return std::exchange(lines_, {}); }

  std::vector<std::string> lines_;
  DropSummary drops_;
  TimePoint now_{std::chrono::hours(1)};
};

TEST_F(DropSummaryTest, TheFirstDropIsSaidAtOnceAndTheRestTogether) {
  drops_.dropped(0, "rejected-saturated", now_);
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("priority 0 rejected-saturated: 1")));
  for (int i = 0; i < 1000; ++i) {
    drops_.dropped(-1, "rejected-ttl-expired", now_);
    drops_.dropped(0, "rejected-saturated", now_);
  }
  drops_.look(now_ + seconds(9));
  EXPECT_THAT(lines(), IsEmpty());
  drops_.look(now_ + seconds(10));
  EXPECT_THAT(
      lines(),
      ElementsAre(HasSubstr("priority -1 rejected-ttl-expired: 1000, priority 0 rejected-saturated: 1000")));
  drops_.look(now_ + seconds(60));
  EXPECT_THAT(lines(), IsEmpty()) << "nothing was dropped since";
}

TEST_F(DropSummaryTest, TheEndLosesNothing) {
  drops_.dropped(0, "rejected-saturated", now_);
  drops_.dropped(0, "rejected-shutting-down", now_);
  lines();
  drops_.flush();
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("rejected-shutting-down: 1")));
  drops_.flush();
  EXPECT_THAT(lines(), IsEmpty());
}

}  // namespace
}  // namespace llmd::picker
