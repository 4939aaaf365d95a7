// Whom the scraper asks, where and how often, and what it makes of slow, silent and foreign answers.
#include <gmock/gmock.h>

#include <cmath>

#include "metrics/registry.h"
#include "picker/datalayer/scrape_scene.h"
#include "picker/datalayer/sources.h"

namespace llmd::picker {
namespace {

using testing::HasSubstr;

constexpr std::string_view kCore = "- type: core-metrics-extractor\n";
constexpr std::string_view kEngines =
    "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]";
constexpr std::string_view kGpus =
    "[{pluginRef: dcgm-data-source, extractors: [{pluginRef: dcgm-extractor}]}]";
constexpr std::uint16_t kNobody = 1;

std::string engines(std::string_view parameters) {
  return scraping(fmt::format("- {{type: metrics-data-source, parameters: {{{}}}}}\n{}", parameters, kCore),
                  kEngines);
}

std::string gpus(std::string_view parameters) {
  return scraping(
      fmt::format("- {{type: dcgm-data-source, parameters: {{{}}}}}\n- type: dcgm-extractor\n", parameters),
      kGpus);
}

TEST(ScrapedAddress, APortOfTheSourceIsLookedForAtTheEndpointItself) {
  ScrapeScene scene;
  const auto exporter = scene.serve([](const auto&) { return "vllm:num_requests_waiting 3\n"; });
  const Endpoint elsewhere{.address = {"127.0.0.1", kNobody}, .name = "e", .metrics = {"127.0.0.2", kNobody}};
  scene.configure(engines(fmt::format("port: {}", exporter.port)), {elsewhere});
  EXPECT_TRUE(scene.until_known());
  EXPECT_EQ(scene.endpoint().numbers().waiting, 3);
  scene.configure(engines(""), {elsewhere});
  EXPECT_TRUE(scene.until_failed()) << "without it the endpoint's own metrics address is asked";
}

TEST(ScrapedAddress, AnExporterOfTheMachineIsAskedAtTheMachineWhereThatIsKnown) {
  struct Row {
    const char* parameters;
    const char* pod;
    const char* node;
    bool found;
  };
  ScrapeScene scene;  // listens at 127.0.0.1 alone
  const auto exporter = scene.serve([](const auto&) { return "DCGM_FI_DEV_GPU_UTIL 25\n"; });
  for (const Row& row : {Row{"useNodeAddress: true", "127.0.0.2", "127.0.0.1", true},
                         Row{"useNodeAddress: true", "127.0.0.1", "", true},
                         Row{"useNodeAddress: true", "127.0.0.1", "127.0.0.2", false},
                         Row{"useNodeAddress: false", "127.0.0.1", "127.0.0.2", true},
                         Row{"useNodeAddress: false", "127.0.0.2", "127.0.0.1", false}}) {
    scene.configure(gpus(fmt::format("port: {}, {}", exporter.port, row.parameters)),
                    {{.address = {row.pod, kNobody}, .name = "e", .node = row.node}});
    EXPECT_TRUE(row.found ? scene.until_known() : scene.until_failed())
        << row.parameters << " " << row.pod << " " << row.node;
    EXPECT_EQ(scene.attribute("GPUUtilization") == 0.25F, row.found) << row.parameters;
  }
}

TEST(Gpus, AnEndpointIsAsBusyAsTheBusiestGpuOfItsPod) {
  struct Row {
    const char* pod;
    const char* page;
    float busy;  // below 0: unknown
  };
  for (const Row& row : {
           Row{"mine", "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",pod=\"mine\"} 30\n", 0.3F},
           Row{"mine",
               "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",pod=\"mine\"} 30\n"
               "DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",pod=\"mine\"} 70\n"
               "DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",pod=\"other\"} 99\n",
               0.7F},
           Row{"mine", "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 40\nDCGM_FI_DEV_GPU_UTIL{gpu=\"1\",pod=\"\"} 20\n",
               0.4F},
           Row{"", "DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",pod=\"other\"} 99\n", 0.99F},
           Row{"mine", "DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",pod=\"other\"} 99\n", -1},
           Row{"mine", "DCGM_FI_DEV_MEM_COPY_UTIL{gpu=\"0\",pod=\"mine\"} 30\n", -1},
           Row{"mine", "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",pod=\"mine\"} 0\n", 0},
       }) {
    ScrapeScene scene;
    const auto exporter = scene.serve([&](const auto&) { return std::string(row.page); });
    scene.configure(gpus(fmt::format("port: {}", exporter.port)),
                    {{.address = exporter, .name = "mine-rank-0", .pod = row.pod}});
    EXPECT_TRUE(scene.until([](const auto& stats) { return stats.pages >= 2; }));
    const float busy = scene.attribute("GPUUtilization");
    EXPECT_FLOAT_EQ(std::isnan(busy) ? -1 : busy, row.busy) << row.pod << "\n" << row.page;
  }
}

TEST(SlowExporters, KeepNeitherOtherEndpointsNorOtherSourcesWaiting) {
  ScrapeScene scene;
  const auto silent = scene.serve([](const auto&) { return ""; });
  const auto lively = scene.serve([](const auto&) { return "vllm:num_requests_waiting 3\n"; });
  const auto exporter = scene.serve([](const auto&) { return "DCGM_FI_DEV_GPU_UTIL 50\n"; });
  scene.configure(
      scraping(fmt::format(
                   "- type: metrics-data-source\n{}- {{type: dcgm-data-source, parameters: {{port: {}}}}}\n"
                   "- type: dcgm-extractor\n",
                   kCore, exporter.port),
               "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}, "
               "{pluginRef: dcgm-data-source, extractors: [{pluginRef: dcgm-extractor}]}]"),
      {{.address = silent, .name = "silent"}, {.address = lively, .name = "lively"}});
  scene.options.timeout = std::chrono::hours(1);
  EXPECT_TRUE(scene.until([&](const auto& stats) {
    return stats.pages >= 30 && scene.endpoint(1).numbers().waiting == 3 &&
           scene.attribute("GPUUtilization", 0) == 0.5F;
  }));
  EXPECT_EQ(scene.endpoint(0).numbers().waiting, 0) << "it is still being asked";
}

TEST(SlowExporters, AreGivenUpAndTheirLastNumbersStay) {
  ScrapeScene scene;
  bool answers = true;
  const auto exporter =
      scene.serve([&](const auto&) { return answers ? "vllm:num_requests_waiting 3\n" : ""; });
  scene.configure(engines(""), {{.address = exporter, .name = "e"}});
  scene.options.timeout = std::chrono::milliseconds(20);
  EXPECT_TRUE(scene.until_known());
  answers = false;
  EXPECT_TRUE(scene.until_failed());
  EXPECT_EQ(scene.endpoint().numbers().waiting, 3);
}

TEST(LargePages, AreNotReadToTheEnd) {
  const auto fails = [](std::string_view config, std::string page) {
    ScrapeScene scene;
    scene.options.max_page = 1000;
    const auto exporter = scene.serve([page = std::move(page)](const auto&) { return page; });
    scene.configure(config, {{.address = exporter, .name = "e"}});
    const bool failed =
        scene.until([](const auto& stats) { return stats.failures >= 3 || stats.pages >= 3; }) &&
        scene.endpoint().age(std::chrono::steady_clock::now()) == Duration::max() &&
        scene.endpoint().models()->empty();
    return failed;
  };
  const std::string numbers = "vllm:num_requests_waiting 3\n";
  EXPECT_FALSE(fails(engines(""), std::string(900, '#') + "\n" + numbers));
  EXPECT_TRUE(fails(engines(""), numbers + std::string(2000, '#') + "\n"));
  const std::string models =
      scraping("- {type: models-data-source, parameters: {interval: 2ms}}\n- type: models-data-extractor\n",
               "[{pluginRef: models-data-source, extractors: [{pluginRef: models-data-extractor}]}]");
  const std::string list = R"({"data": [{"id": "m", "owned_by": "me", "parent": "base"}]})";
  EXPECT_FALSE(fails(models, list));
  EXPECT_TRUE(fails(models, list + std::string(2000, ' ')));
}

TEST(ModelLists, AreReadAndStayWhileAnAnswerMakesNoSense) {
  ScrapeScene scene;
  std::string answer = R"({"object": "list", "data": [{"id": "base", "object": "model", "owned_by": "me"},
      {"id": "tuned", "owned_by": "you", "parent": "base"}, {"id": 7}, {"owned_by": "nobody"}, "text"]})";
  std::vector<std::string> asked;
  const auto exporter = scene.serve([&](const http::RequestHead& request) {
    asked.push_back(request.target);
    return answer;
  });
  scene.configure(
      scraping("- {type: models-data-source, parameters: {interval: 2ms}}\n- type: models-data-extractor\n",
               "[{pluginRef: models-data-source, extractors: [{pluginRef: models-data-extractor}]}]"),
      {{.address = exporter, .name = "e"}});
  const auto listed = [&] {
    std::string all;
    const auto models = scene.endpoint().models();
    for (const ListedModel& model : *models) {
      all += model.id + "/" + model.owner + "/" + model.parent + " ";
    }
    return all;
  };
  EXPECT_TRUE(scene.until([](const auto& stats) { return stats.pages >= 2; }));
  EXPECT_EQ(listed(), "base/me/ tuned/you/base ");
  EXPECT_EQ(asked.front(), "/v1/models");
  for (const char* nonsense : {"<html>", "[]", R"({"data": {}})", R"({"error": "busy"})"}) {
    answer = nonsense;
    EXPECT_TRUE(scene.until_failed()) << nonsense;
    EXPECT_EQ(listed(), "base/me/ tuned/you/base ") << nonsense;
  }
  answer = R"({"data": []})";
  EXPECT_TRUE(scene.until([&](const auto&) { return listed().empty(); })) << "it has none any more";
}

TEST(SeveralExtractors, ReadOnePage) {
  ScrapeScene scene;
  int whole = 0;
  const auto exporter = scene.serve([&](const http::RequestHead& request) {
    whole += request.query().empty() ? 1 : 0;
    return "vllm:num_requests_waiting 3\nllm_d_epp_average_queue_size 7\nDCGM_FI_DEV_GPU_UTIL 50\n" +
           (request.query().empty() ? std::string(50'000, '#') + "\n" : "");
  });
  scene.configure(
      scraping(fmt::format("- type: metrics-data-source\n- type: multicluster-metrics-extractor\n"
                           "- type: dcgm-extractor\n{}",
                           kCore),
               "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}, "
               "{pluginRef: multicluster-metrics-extractor}, {pluginRef: dcgm-extractor}]}]"),
      {{.address = exporter, .name = "e"}});
  EXPECT_TRUE(scene.until([&](const auto& stats) { return stats.pages >= 10; }));
  EXPECT_EQ(scene.endpoint().numbers().waiting, 3);
  EXPECT_EQ(scene.attribute("GPUUtilization"), 0.5F);
  EXPECT_EQ(scene.attribute("llm-d.ai/multicluster-queue-size"), 7);
  EXPECT_EQ(whole, 1) << "then the series of all three alone are asked for";
}

TEST(EndpointsThatLeave, AreAskedNoMoreUntilTheyComeBack) {
  ScrapeScene scene;
  int asked = 0;
  const auto page = [](const auto&) { return "vllm:num_requests_waiting 3\n"; };
  const Endpoint stays{.address = scene.serve(page), .name = "stays"};
  const Endpoint leaves{.address = scene.serve([&](const auto& request) {
                          ++asked;
                          return page(request);
                        }),
                        .name = "leaves"};
  scene.configure(engines(""), {stays, leaves});
  std::uint64_t since = 0;
  int asked_before = 0;
  int step = 0;
  const auto follow = [&](const Scraper::Stats& stats) {
    if (step == 0 && asked >= 3) {
      scene.picker->update({stays});
      since = stats.pages;
      ++step;
    } else if (step == 1 && stats.pages >= since + 5) {  // what was under way has come back
      asked_before = asked;
      ++step;
    } else if (step == 2 && stats.pages >= since + 30) {
      EXPECT_EQ(asked, asked_before);
      scene.picker->update({stays, leaves});
      ++step;
    }
    return step == 3 && asked >= asked_before + 3;
  };
  EXPECT_TRUE(scene.until(follow)) << step;
  EXPECT_EQ(scene.endpoint(1).numbers().waiting, 3);
}

TEST(ScrapeErrors, AreCountedBySourceAndExtractor) {
  ScrapeScene scene;
  bool answers = false;
  const auto exporter = scene.serve([&](const auto&) { return answers ? "nothing 1\n" : ""; });
  metrics::Registry registry;
  const std::string config =
      scraping(fmt::format("- type: metrics-data-source\n{}- type: multicluster-metrics-extractor\n", kCore),
               "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}, "
               "{pluginRef: multicluster-metrics-extractor}]}]");
  scene.picker =
      Picker::from_config(config, "x", {.load = {.allow_experimental = true}, .metrics = &registry}).value();
  scene.picker->update({{.address = exporter, .name = "e"}});
  scene.options.timeout = std::chrono::milliseconds(20);
  EXPECT_THAT(registry.write_text(),
              HasSubstr("llm_d_epp_datalayer_poll_errors_total{source_type=\"metrics-data-source\"} 0"));
  EXPECT_TRUE(scene.until_failed());
  answers = true;
  EXPECT_TRUE(scene.until([](const auto& stats) { return stats.pages >= 2; }));
  const std::string page = registry.write_text();
  EXPECT_THAT(page, testing::Not(HasSubstr("poll_errors_total{source_type=\"metrics-data-source\"} 0")));
  for (const char* extractor : {"core-metrics-extractor", "multicluster-metrics-extractor"}) {
    const std::string labels =
        fmt::format("{{source_type=\"metrics-data-source\",extractor_type=\"{}\"}} ", extractor);
    for (const char* prefix : {"llm_d_epp_", "llm_d_inference_scheduler_"}) {
      const std::string line = std::string(prefix) + "datalayer_extract_errors_total" + labels;
      EXPECT_THAT(page, HasSubstr(line));
      EXPECT_THAT(page, testing::Not(HasSubstr(line + "0\n")));
    }
  }
}

// Upstream has one clock for all sources, which ticks as fast as the fastest of them and makes the others'
// times multiples of its own. Here each has its own clock: times are exact.
TEST(Intervals, ASourceGoesByItsOwnAndOthersAsFastAsTheFastest) {
  using std::chrono::milliseconds;
  struct Row {
    std::string metrics;  // parameters of the sources
    std::string gpus;
    int flag;
    std::pair<int, int> expected;
  };
  const Row rows[] = {
      {"", "", 50, {50, 50}},
      {"", "", 200, {200, 200}},
      {"", "interval: 5s", 50, {50, 5000}},
      {"interval: 75ms", "interval: 130ms", 50, {75, 130}},       // not rounded
      {"", "interval: 100ms", 1000, {100, 100}},                  // lowers the others' too
      {"interval: 2s", "interval: 100ms", 1000, {2000, 100}},     // but not what says otherwise
      {"interval: 10ms", "", 200, {50, 50}},                      // no faster than this
      {"interval: 0s", "interval: \"\"", 50, {50, 50}},           // nothing is said
      {"interval: 50000000", "interval: 1m", 200, {50, 60'000}},  // nanoseconds
  };
  for (const Row& row : rows) {
    const std::string config = scraping(
        fmt::format(
            "- {{type: metrics-data-source, parameters: {{{}}}}}\n- {{type: dcgm-data-source, parameters: "
            "{{{}}}}}\n- type: models-data-source\n",
            row.metrics, row.gpus),
        "[{pluginRef: metrics-data-source}, {pluginRef: dcgm-data-source}, {pluginRef: models-data-source}]");
    const auto picker = Picker::from_config(config, "x", {.load = {.allow_experimental = true}});
    ASSERT_TRUE(picker) << picker.error().text();
    const Plan& plan = (*picker)->plan();
    const auto interval = [&](std::size_t at) {
      return base_interval(plan, *plan.polls[at].source, {.interval = milliseconds(row.flag)});
    };
    EXPECT_EQ(interval(0), milliseconds(row.expected.first)) << row.metrics << " | " << row.gpus;
    EXPECT_EQ(interval(1), milliseconds(row.expected.second)) << row.metrics << " | " << row.gpus;
    EXPECT_GE(interval(2), std::chrono::seconds(1)) << "lists of models change rarely";
  }
}

TEST(Intervals, AreKept) {
  ScrapeScene scene;
  int often = 0;
  int rarely = 0;
  const auto exporter = scene.serve([&](const http::RequestHead& request) {
    ++(request.path() == "/often" ? often : rarely);
    return "vllm:num_requests_waiting 3\n";
  });
  scene.configure(
      scraping(fmt::format("- {{type: metrics-data-source, parameters: {{path: /often, interval: 2ms}}}}\n{}"
                           "- {{type: dcgm-data-source, parameters: {{port: {}, interval: 1h}}}}\n"
                           "- type: dcgm-extractor\n",
                           kCore, exporter.port),
               "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}, "
               "{pluginRef: dcgm-data-source, extractors: [{pluginRef: dcgm-extractor}]}]"),
      {{.address = exporter, .name = "e"}});
  EXPECT_TRUE(scene.until([&](const auto&) { return often >= 20; }));
  EXPECT_EQ(rarely, 1);
}

}  // namespace
}  // namespace llmd::picker
