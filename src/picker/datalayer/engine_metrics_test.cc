// What is read from the pages of each kind of engine, and how a configuration changes that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "picker/datalayer/sources.h"
#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

using testing::ElementsAre;

std::string described(const MetricSpec& spec) {
  std::string text = spec.name;
  for (const auto& [name, value] : spec.labels) {
    text += " " + name + "=" + value;
  }
  return text;
}

TEST(MetricSelectors, AreNamesWithLabels) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", ""},
      {"   ", ""},
      {"m", "m"},
      {"  m  ", "m"},
      {"vllm:num_requests_waiting", "vllm:num_requests_waiting"},
      {"m{}", "m"},
      {"m{a=b}", "m a=b"},
      {"m{a=\"b\"}", "m a=b"},
      {"m{a=b,c=d}", "m a=b c=d"},
      {"  m  {  a  =  b  ,  c  =  \"d e\"  }  ", "m a=b c=d e"},
      {"m{a=\"x,y}\"}", "m a=x,y}"},
  };
  for (const auto& [text, expected] : rows) {
    const auto spec = MetricSpec::parse(text);
    ASSERT_TRUE(spec) << text;
    EXPECT_EQ(described(*spec), expected) << text;
  }
  for (const std::string_view text : {"m{a=b", "ma=b}", "m{a}", "m{=b}", "m{a=}", "m{ = }", "m{a=b}more",
                                      "{a=b}", "m{a=\"b}", "a b", "m{a=\"\"}"}) {
    const auto spec = MetricSpec::parse(text);
    EXPECT_FALSE(spec) << text;
    EXPECT_THAT(spec ? "" : spec.error().text(), testing::HasSubstr("is no metric selector")) << text;
  }
}

EngineMapping counting(std::string_view selector) {
  return {.engine = "x", .queued = {MetricSpec::parse(selector).value()}};
}

TEST(MetricSelectors, FindSeriesThatHaveAtLeastTheirLabels) {
  constexpr std::string_view kPage =
      "m{a=\"1\",b=\"2\"} 3\nm{a=\"2\"} 4\nother 9\nmore{a=\"1\"} 9\nm_total{a=\"1\"} 9\n";
  const std::pair<std::string_view, float> rows[] = {
      {"m{a=1}", 3},  {"m{b=2}", 3},  {"m{a=2}", 4},      {"m{a=1,b=2}", 3}, {"m", 7},
      {"m{a=3}", -1}, {"m{c=1}", -1}, {"m{a=2,b=2}", -1}, {"n", -1},         {"m{a=1,b=2,c=3}", -1},
  };
  for (const auto& [selector, expected] : rows) {
    const float found = MetricsScanner(counting(selector)).scan(kPage).waiting;
    EXPECT_EQ(std::isnan(found) ? -1 : found, expected) << selector;
  }
}

TEST(MetricSelectors, TakeNumbersAsExportersWriteThem) {
  const std::pair<std::string_view, float> rows[] = {
      {"m 3", 3},
      {"m 3.5", 3.5F},
      {"m 1e3", 1000},
      {"m 3 1700000000000", 3},
      {"m{a=\"b\"}  3", 3},
      {"m{} 3", 3},
      {"m{a=\"b\",} 3", 3},
      {"m -1", -1},
      {"# TYPE m counter\nm 99.9", 99.9F},
      {"m +Inf", -9},
      {"m NaN", -9},
      {"m", -9},
      {"m three", -9},
      {"M 3", -9},
      {"m{a=\"b\\\"}{\",c=\"d\"} 4", 4},
      {"#m 3", -9},
      {" m 3", -9},
      {"m{a=\"b} 3", -9},
      {"<html>m 3</html>", -9},
  };
  for (const auto& [page, expected] : rows) {
    const float found = MetricsScanner(counting("m")).scan(page).waiting;
    EXPECT_EQ(std::isnan(found) ? -9 : found, expected) << page;
  }
}

struct Numbers {
  float waiting;
  float running;
  float usage;
  float block_tokens;
  float blocks;
};

TEST(EnginePages, OfEveryKindAreUnderstood) {
  struct Row {
    std::string_view engine;
    std::string_view page;
    Numbers expected;  // -1: absent
  };
  const Row rows[] = {
      {"vllm",
       "vllm:num_requests_waiting{engine=\"0\"} 1\nvllm:num_requests_running{engine=\"0\"} 2\n"
       "vllm:kv_cache_usage_perc 0.5\nvllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"100\"} 1\n",
       {1, 2, 0.5F, 16, 100}},
      {"vllm", "vllm:gpu_cache_usage_perc 0.25\n", {-1, -1, 0.25F, -1, -1}},
      {"sglang",
       "sglang:num_queue_reqs 1\nsglang:num_running_reqs 2\nsglang:token_usage 0.5\n"
       "sglang:cache_config_info{page_size=\"64\",num_pages=\"9\"} 1\n",
       {1, 2, 0.5F, 64, 9}},
      {"sglang", "sglang:page_size 32\nsglang:num_pages 5\n", {-1, -1, -1, 32, 5}},
      {"trtllm-serve",
       "trtllm_num_requests_waiting 1\ntrtllm_num_requests_running 2\ntrtllm_kv_cache_utilization 0.5\n"
       "trtllm_kv_cache_tokens_per_block 32\ntrtllm_kv_cache_max_blocks 7\n",
       {1, 2, 0.5F, 32, 7}},
      {"triton-tensorrt-llm",
       "nv_trt_llm_request_metrics{request_type=\"waiting\"} 1\n"
       "nv_trt_llm_request_metrics{request_type=\"scheduled\"} 2\n"
       "nv_trt_llm_request_metrics{request_type=\"context\"} 9\n"
       "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"} 0.5\n"
       "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"tokens_per\"} 64\n"
       "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\"} 8\n",
       {1, 2, 0.5F, 64, 8}},
      {"triton",
       "nv_inference_pending_request_count{model=\"m\"} 1\nnv_inference_exec_count{model=\"m\"} 2\n"
       "nv_gpu_utilization 0.5\n",
       {1, 2, -1, -1, -1}},
      {"atom",
       "atom:requests_waiting 1\natom:requests_running 2\natom:kv_cache_usage_ratio 0.5\n"
       "atom:cache_config_info{block_size=\"16\",num_gpu_blocks=\"4\"} 1\n",
       {1, 2, 0.5F, 16, 4}},
      {"llamacpp",
       "llamacpp:requests_deferred 1\nllamacpp:requests_processing 2\nllamacpp:kv_cache_usage_ratio 0.5\n",
       {1, 2, 0.5F, -1, -1}},
      // One number that is missing or malformed does not hide the others.
      {"vllm", "vllm:num_requests_waiting x\nvllm:num_requests_running 2\n", {-1, 2, -1, -1, -1}},
      {"vllm",
       "vllm:cache_config_info{block_size=\"many\"} 1\nvllm:kv_cache_usage_perc 1\n",
       {-1, -1, 1, -1, -1}},
      {"vllm", "{\"waiting\": 1}", {-1, -1, -1, -1, -1}},
  };
  for (const Row& row : rows) {
    const auto mapping = std::ranges::find(builtin_engines(), row.engine, &EngineMapping::engine);
    ASSERT_NE(mapping, builtin_engines().end()) << row.engine;
    const EngineReport report = MetricsScanner(*mapping).scan(row.page);
    const auto number = [](float value) { return std::isnan(value) ? -1 : value; };
    EXPECT_THAT((std::vector<float>{number(report.waiting), number(report.running), number(report.kv_usage),
                                    number(report.block_tokens), number(report.blocks)}),
                ElementsAre(row.expected.waiting, row.expected.running, row.expected.usage,
                            row.expected.block_tokens, row.expected.blocks))
        << row.page;
  }
}

TEST(AdapterPages, TheLatestSeriesSaysWhichAreLoaded) {
  struct Row {
    std::string_view page;
    bool known;
    std::vector<std::string> active;
    std::vector<std::string> waiting;
    int limit;
  };
  const Row rows[] = {
      {"vllm:num_requests_waiting 1\n", false, {}, {}, 0},
      {"vllm:lora_requests_info{max_lora=\"2\",running_lora_adapters=\"new\",waiting_lora_adapters=\"\"} "
       "3000\n"
       "vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"a,b\",waiting_lora_adapters=\"c\"} "
       "1000\n",
       true,
       {"new"},
       {},
       2},
      {"vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\" a , "
       "b,\",waiting_lora_adapters=\"c\"} 1\n",
       true,
       {"a", "b"},
       {"c"},
       4},
      {"vllm:lora_requests_info{max_lora=\"0\",running_lora_adapters=\"\",waiting_lora_adapters=\"\"} 1\n",
       true,
       {},
       {},
       0},
      {"vllm:lora_requests_info{max_lora=\"many\",running_lora_adapters=\"a\"} 1\n", true, {"a"}, {}, 0},
      {"vllm:lora_requests_info{other=\"x\"} 1\n", true, {}, {}, 0},
      {"vllm:lora_requests_info{max_lora=\"1\" 1\n", false, {}, {}, 0},
  };
  for (const Row& row : rows) {
    const EngineReport report = MetricsScanner(builtin_engines().front()).scan(row.page);
    ASSERT_EQ(report.adapters.has_value(), row.known) << row.page;
    if (row.known) {
      EXPECT_EQ(report.adapters->active, row.active) << row.page;
      EXPECT_EQ(report.adapters->waiting, row.waiting) << row.page;
      EXPECT_EQ(report.adapters->limit, row.limit) << row.page;
    }
  }
}

// What the core extractor of a picker reads from a page of an endpoint with these labels.
struct Reader {
  explicit Reader(std::string_view parameters) {
    auto made = Picker::from_config(
        fmt::format("plugins:\n- type: random-picker\n- type: core-metrics-extractor\n  parameters: {}\n",
                    parameters),
        "x.yaml");
    if (made) {
      picker = std::move(*made);
    } else {
      problem = made.error().text();
    }
  }
  EngineReport read(std::string_view page, std::map<std::string, std::string> labels = {}) const {
    return picker->plan()
        .polls.front()
        .extractors.front()
        ->scanner_for({.labels = std::move(labels)})
        .scan(page);
  }
  std::unique_ptr<Picker> picker;
  std::string problem;
};

constexpr std::string_view kTwoEngines =
    "vllm:num_requests_waiting 1\nsglang:num_queue_reqs 2\nown_queue 3\nnv_inference_pending_request_count "
    "4\n";

TEST(EngineLabels, ChooseTheNames) {
  struct Row {
    std::string_view parameters;
    std::map<std::string, std::string> labels;
    float waiting;
  };
  constexpr std::string_view kKey = "llm-d.ai/engine-type";
  constexpr std::string_view kOlder = "inference.networking.k8s.io/engine-type";
  const auto labelled = [](std::string_view key, std::string_view value) {
    return std::map<std::string, std::string>{{std::string(key), std::string(value)}};
  };
  const auto own = R"({engineConfigs: [{name: own, queuedRequestsSpec: own_queue}]})";
  const auto own_default =
      R"({defaultEngine: own, engineConfigs: [{name: own, queuedRequestsSpec: own_queue}]})";
  const Row rows[] = {
      {"{}", {}, 1},
      {"{}", labelled(kKey, "sglang"), 2},
      {"{}", labelled(kOlder, "sglang"), 2},
      {"{}", {{std::string(kKey), "triton"}, {std::string(kOlder), "sglang"}}, 4},
      {"{}", labelled(kKey, "unheard-of"), 1},
      {"{}", labelled("engine", "sglang"), 1},
      {"{engineLabelKey: engine}", labelled("engine", "sglang"), 2},
      {"{engineLabelKey: engine}", labelled(kKey, "sglang"), 1},
      {"{defaultEngine: sglang}", {}, 2},
      {"{defaultEngine: sglang}", labelled(kKey, "vllm"), 1},
      {own, labelled(kKey, "own"), 3},
      {own, {}, 1},
      {own_default, {}, 3},
      {own_default, labelled(kKey, "unheard-of"), 3},
      {R"({engineConfigs: [{name: vllm, queuedRequestsSpec: own_queue}]})", {}, 3},
  };
  for (const Row& row : rows) {
    const Reader reader(row.parameters);
    ASSERT_NE(reader.picker, nullptr) << reader.problem;
    EXPECT_EQ(reader.read(kTwoEngines, row.labels).waiting, row.waiting)
        << row.parameters << testing::PrintToString(row.labels);
  }
}

TEST(EngineConfigs, SayWhatIsReadAndWhatIsNot) {
  const Reader reader(
      R"({engineConfigs: [{name: vllm, queuedRequestsSpec: "", runningRequestsSpec: "r{kind=b}",
      cacheInfoSpec: info}, {name: gauges, cacheBlockSizeSpec: size, cacheNumBlocksSpec: count},
      {name: labels, cacheInfoSpec: info, cacheBlockSizeLabelName: page, cacheNumBlocksLabelName: pages}]})");
  ASSERT_NE(reader.picker, nullptr) << reader.problem;
  constexpr std::string_view kPage =
      "vllm:num_requests_waiting 1\nvllm:kv_cache_usage_perc 0.5\nr{kind=\"a\"} 8\nr{kind=\"b\"} 9\n"
      "info{block_size=\"16\",num_gpu_blocks=\"100\",page=\"1\",pages=\"2\"} 1\nsize 32\ncount 7\n";
  const EngineReport usual = reader.read(kPage);
  EXPECT_TRUE(std::isnan(usual.waiting)) << "switched off";
  EXPECT_TRUE(std::isnan(usual.kv_usage)) << "an entry replaces the built-in one as a whole";
  EXPECT_EQ(usual.running, 9);
  EXPECT_EQ(usual.block_tokens, 16) << "the usual names of labels";
  EXPECT_EQ(usual.blocks, 100);
  const EngineReport gauges = reader.read(kPage, {{"llm-d.ai/engine-type", "gauges"}});
  EXPECT_EQ(gauges.block_tokens, 32);
  EXPECT_EQ(gauges.blocks, 7);
  const EngineReport labels = reader.read(kPage, {{"llm-d.ai/engine-type", "labels"}});
  EXPECT_EQ(labels.block_tokens, 1);
  EXPECT_EQ(labels.blocks, 2);
}

TEST(CustomMetrics, AreReadForTheirEngineOrForAll) {
  const Reader reader(R"({customMetrics: [{attributeKey: everywhere, metricSpec: total}],
      engineConfigs: [{name: a, customMetrics: [{attributeKey: depth, metricSpec: "q{kind=x}"}]},
                      {name: b, customMetrics: [{attributeKey: depth, metricSpec: other}]}]})");
  ASSERT_NE(reader.picker, nullptr) << reader.problem;
  const auto& names = reader.picker->plan().custom_metrics;
  const auto value = [&](std::string_view engine, std::string_view attribute) {
    const auto report =
        reader.read("# TYPE total counter\ntotal 5\nq{kind=\"x\"} 1.5\nq{kind=\"y\"} 9\nother 2\n",
                    {{"llm-d.ai/engine-type", std::string(engine)}});
    const auto slot = std::ranges::find(names, attribute) - names.begin();
    const float found = report.custom[static_cast<std::size_t>(slot)];
    return std::isnan(found) ? -1 : found;
  };
  EXPECT_THAT(names, testing::UnorderedElementsAre("everywhere", "depth"));
  EXPECT_EQ(value("a", "depth"), 1.5F);
  EXPECT_EQ(value("b", "depth"), 2);
  EXPECT_EQ(value("vllm", "depth"), -1);
  EXPECT_EQ(value("a", "everywhere"), 5);
  EXPECT_EQ(value("vllm", "everywhere"), 5);
}

TEST(EngineConfigs, MistakesAreNamed) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"{engineConfigs: [{queuedRequestsSpec: q}]}", "engineConfigs[0].name: is required"},
      {"{engineConfigs: [{name: default}]}", "'default' is reserved"},
      {"{engineConfigs: [{name: a}, {name: a}]}", "engineConfigs[1].name: 'a' is given twice"},
      {"{engineConfigs: [{name: a, queuedRequestsSpec: 'q{'}]}", "is no metric selector"},
      {"{engineConfigs: [{name: a, queueSpec: q}]}", "queueSpec: unknown parameter"},
      {"{defaultEngine: nobody}", "there is no engine 'nobody'"},
      {"{customMetrics: [{metricSpec: m}]}", "attributeKey: is required"},
      {"{customMetrics: [{attributeKey: a}]}", "metricSpec: is required"},
      {"{customMetrics: [{attributeKey: a, metricSpec: '{'}]}", "is no metric selector"},
      {"{customMetrics: [{attributeKey: a, metricSpec: m}, {attributeKey: a, metricSpec: other}]}",
       "customMetrics[1].attributeKey: 'a' is given twice"},
      {"{engineConfigs: [{name: x, customMetrics: [{attributeKey: a, metricSpec: m}, {attributeKey: a, "
       "metricSpec: "
       "other}]}]}",
       "engineConfigs[0].customMetrics[1].attributeKey: 'a' is given twice"},
  };
  for (const auto& [parameters, problem] : rows) {
    EXPECT_THAT(Reader(parameters).problem, testing::HasSubstr(std::string(problem))) << parameters;
  }
}

}  // namespace
}  // namespace llmd::picker
