#include "engine/server/fake_metrics.h"

#include "engine/server/served_for_test.h"

namespace llmd::engine {
namespace {

using std::chrono::seconds;

constexpr std::string_view kModel = R"(engine="0",model_name="m")";

TEST(FakeMetrics, AreShownInsteadOfTheRealOnes) {
  Served server({"m", "--simulate", "--fake-metrics",
                 R"({"running-requests":3,"waiting-requests":7,"kv-cache-usage":0.4,
                     "loras":[{"running":"a,b","waiting":"c","timestamp":17}],
                     "ttft-buckets-values":[1,2],"request-prompt-tokens":[5],
                     "request-success-total":{"stop":20},"total-prompt-tokens":999,
                     "prefix-cache-hits":4,"prefix-cache-queries":8})"});
  server.post_json("/v1/completions", R"({"model":"m","prompt":"hello","max_tokens":2})");
  const std::pair<std::string, double> cases[] = {
      {fmt::format("vllm:num_requests_running{{{}}}", kModel), 3},
      {fmt::format("vllm:num_requests_waiting{{{}}}", kModel), 7},
      {fmt::format("vllm:kv_cache_usage_perc{{{}}}", kModel), 0.4},
      {fmt::format("vllm:time_to_first_token_seconds_count{{{}}}", kModel), 3},
      {fmt::format("vllm:request_prompt_tokens_count{{{}}}", kModel), 5},
      {fmt::format("vllm:prompt_tokens_total{{{}}}", kModel), 999},
      {fmt::format("vllm:generation_tokens_total{{{}}}", kModel), 0},
      {fmt::format("vllm:prefix_cache_hits_total{{{}}}", kModel), 4},
      {R"(vllm:request_success_total{engine="0",finished_reason="stop")", 20},
      {R"(vllm:lora_requests_info{max_lora="1",running_lora_adapters="a,b",waiting_lora_adapters="c"})", 17},
  };
  for (const auto& [line, value] : cases) {
    EXPECT_EQ(server.metric(line), value) << line;
  }
}

TEST(FakeMetrics, FollowTheirFunctions) {
  const auto gauge = [](std::string_view function) {
    return parse_fake_metrics(fmt::format(R"({{"waiting-requests":"{}"}})", function))
        .value()
        .waiting_requests;
  };
  struct Case {
    std::string_view function;
    double at_once, after_2s, after_4s, after_5s, after_8s;
  };
  const Case cases[] = {
      {"oscillate:0:10:8s", 0, 5, 10, 8.535533905932738, 0},
      {"ramp:10:18:8s", 10, 12, 14, 15, 18},
      {"rampreset:0:8:8s", 0, 2, 4, 5, 0},
      {"squarewave:1:9:8s", 1, 1, 9, 9, 1},
  };
  for (const Case& c : cases) {
    const FakeGauge fake = gauge(c.function);
    EXPECT_NEAR(fake.at({}), c.at_once, 1e-9) << c.function;
    EXPECT_NEAR(fake.at(seconds(2)), c.after_2s, 1e-9) << c.function;
    EXPECT_NEAR(fake.at(seconds(4)), c.after_4s, 1e-9) << c.function;
    EXPECT_NEAR(fake.at(seconds(5)), c.after_5s, 1e-9) << c.function;
    EXPECT_NEAR(fake.at(seconds(8)), c.after_8s, 1e-9) << c.function;
  }
  EXPECT_NEAR(gauge("ramp:0:1:1s").at(seconds(100)), 1, 1e-9) << "stays where it arrived";
}

TEST(FakeMetrics, RefuseWhatMakesNoSense) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"([])", "object"},
      {R"({"running-request":1})", "running_request: unknown"},
      {R"({"running-requests":"sine:0:1:1s"})", "FUNCTION"},
      {R"({"running-requests":"ramp:0:1:0s"})", "FUNCTION"},
      {R"({"running-requests":-1})", "running_requests"},
      {R"({"kv-cache-usage":1.5})", "between 0 and 1"},
      {R"({"kv-cache-usage":"ramp:0:2:1s"})", "between 0 and 1"},
      {R"({"prefix-cache-hits":1})", "together"},
      {R"({"ttft-buckets-values":[-1]})", "buckets"},
      {R"({"request-success-total":{"tired":1}})", "tired"},
  };
  for (const auto& [text, said] : cases) {
    const auto fake = parse_fake_metrics(text);
    ASSERT_FALSE(fake) << text;
    EXPECT_TRUE(fake.error().text().contains(said)) << fake.error().text();
  }
}

TEST(FakeMetrics, BelongToSimulations) {
  const std::string arguments[] = {"m", "--fake-metrics", "{}"};
  const auto options = parse_arguments(arguments);
  ASSERT_FALSE(options);
  EXPECT_TRUE(options.error().text().contains("--simulate"));
}

}  // namespace
}  // namespace llmd::engine
