#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "metrics/registry.h"
#include "metrics/text_reader.h"

namespace llmd::metrics {
namespace {

using ::testing::HasSubstr;

TEST(Registry, WritesThePageAsPrometheusWantsIt) {
  Registry registry;
  registry.counter("requests_total", "All requests.\nEver.").add(3);
  registry.gauge("temperature", "").set(-1.5);
  registry.gauges("queue", "Waiting.", {"pod", "zone"}).with({"a\"b\\c\nd", "z"})->set(2);
  Histogram& seconds = registry.histogram("seconds", "Time.", std::array{0.5, 1.0});
  seconds.observe(0.5);
  seconds.observe(0.7);
  seconds.observe(7);
  EXPECT_EQ(registry.write_text(), R"(# HELP requests_total All requests.\nEver.
# TYPE requests_total counter
requests_total 3
# HELP temperature 
# TYPE temperature gauge
temperature -1.5
# HELP queue Waiting.
# TYPE queue gauge
queue{pod="a\"b\\c\nd",zone="z"} 2
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5"} 1
seconds_bucket{le="1"} 2
seconds_bucket{le="+Inf"} 3
seconds_sum 8.2
seconds_count 3
)");
}

TEST(Registry, ThePageReadsBackAsItWas) {
  Registry registry;
  auto& queue = registry.gauges("queue", "Help with \\ and \n.", {"pod"});
  queue.with({"a\"\\\n"})->set(1e300);
  queue.with({""})->set(HUGE_VAL);
  queue.with({"nan"})->set(std::nan(""));
  registry.histograms("h", "x", {"l"}, std::array{0.1}).with({"v"})->observe(0.05);
  const auto page = parse_exposition(registry.write_text());
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(page->value("queue", {{"pod", "a\"\\\n"}}), 1e300);
  EXPECT_EQ(page->value("queue", {{"pod", ""}}), HUGE_VAL);
  EXPECT_TRUE(std::isnan(*page->value("queue", {{"pod", "nan"}})));
  EXPECT_EQ(page->value("h_bucket", {{"l", "v"}, {"le", "0.1"}}), 1);
  EXPECT_EQ(page->family("queue")->help, "Help with \\ and \n.");
  EXPECT_EQ(page->family("h")->type, "histogram");
}

TEST(Registry, BoundsTheNumberOfSeries) {
  Registry registry;
  auto& family = registry.family<Counter>({.name = "c", .help = "x", .labels = {"user"}, .max_series = 2});
  for (int i = 0; i < 10; ++i) {
    family.with({std::to_string(i)})->add();
  }
  const auto page = parse_exposition(registry.write_text());
  EXPECT_EQ(page->series.size(), 3U);
  EXPECT_EQ(page->value("c", {{"user", "other"}}), 8);
}

TEST(Registry, ARemovedSeriesLeavesThePageButNotItsHolder) {
  Registry registry;
  auto& family = registry.gauges("g", "x", {"pod"});
  const auto held = family.with({"a"});
  family.remove({"a"});
  held->set(5);
  EXPECT_THAT(registry.write_text(), testing::Not(HasSubstr("pod=")));
}

TEST(Registry, AsksTheCallbacksOnEveryWrite) {
  Registry registry;
  int asked = 0;
  registry.on_write([&asked](TextWriter& writer) {
    writer.family("asked", "How often.", Type::Gauge);
    writer.sample("asked", "", ++asked);
  });
  registry.write_text();
  EXPECT_THAT(registry.write_text(), HasSubstr("\nasked 2\n"));
}

TEST(Counter, CountsEveryThread) {
  Registry registry;
  Counter& counter = registry.counter("c", "x");
  Histogram& histogram = registry.histogram("h", "x");
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        counter.add();
        histogram.observe(0.01);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(counter.value(), 4000);
  EXPECT_EQ(histogram.snapshot().count(), 4000U);
}

TEST(TextReader, ReadsWhatOtherProgramsWrite) {
  const auto page = parse_exposition(
      "# HELP vllm:num_requests_running Number of requests.\n# TYPE vllm:num_requests_running gauge\n"
      "vllm:num_requests_running{engine=\"0\",model_name=\"m\",} 2.0 1700000000000\r\n"
      "  spaced { a = \"b\" , c=\"d\" }  1e3\nup 1\n# UNIT x seconds\nex_total 5 # {trace_id=\"x\"} 1.0\n# "
      "EOF\n");
  ASSERT_TRUE(page) << page.error().text();
  EXPECT_EQ(page->value("vllm:num_requests_running", {{"model_name", "m"}}), 2);
  EXPECT_EQ(page->value("spaced", {{"a", "b"}, {"c", "d"}}), 1000);
  EXPECT_EQ(page->value("ex_total"), 5);
  EXPECT_EQ(page->value("absent"), std::nullopt);
}

struct BadLine {
  std::string_view line;
  std::string_view message;
};
class BadExposition : public testing::TestWithParam<BadLine> {};
TEST_P(BadExposition, IsRefusedWithItsLine) {
  const auto page = parse_exposition(fmt::format("up 1\n{}\n", GetParam().line));
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message, fmt::format("line 2: {}", GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(Table, BadExposition,
                         testing::Values(BadLine{"up", "expected a number"},
                                         BadLine{"up x", "expected a number"},
                                         BadLine{"{a=\"b\"} 1", "expected a metric name"},
                                         BadLine{"up{a=\"b} 1", "a label value has no closing quote"},
                                         BadLine{"up{a=b} 1", "a label value must be in quotes"},
                                         BadLine{"up{a=\"b\" c=\"d\"} 1", "expected , or } after a label"},
                                         BadLine{"up{=\"b\"} 1", "expected label=\"value\""},
                                         BadLine{"up{a=\"b\\\"} 1", "a label value has no closing quote"}));

}  // namespace
}  // namespace llmd::metrics
