// Exporters whose answers are of no use: each failure has an end, leaves the last numbers, and is over as
// soon as the exporter answers well again.
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "json/path.h"
#include "picker/datalayer/scrape_scene.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kEngines =
    "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]";

std::string engines(std::string_view parameters = "") {
  return scraping(fmt::format("- {{type: metrics-data-source, parameters: {{{}}}}}\n"
                              "- {{type: core-metrics-extractor, parameters: {{customMetrics: "
                              "[{{attributeKey: total, metricSpec: requests_total}}]}}}}\n",
                              parameters),
                  kEngines);
}

std::string numbers(int waiting) {
  return fmt::format("vllm:num_requests_waiting {}\n", waiting);
}

Task<void> forever(http::Exchange& exchange) {
  co_await exchange.client_gone();
}

Task<void> freeze(http::Exchange& exchange) {
  co_await exchange.start({200, {}}, numbers(99));
  co_await exchange.write("vllm:num_requests_run");
  co_await forever(exchange);
}

Task<void> say_nothing(http::Exchange& exchange) {
  co_await forever(exchange);
}

Task<void> drip(http::Exchange& exchange) {
  co_await exchange.start({200, {}}, numbers(99));
  while (co_await exchange.write("#")) {
    co_await async::sleep(std::chrono::milliseconds(5));
  }
}

Task<void> break_off(http::Exchange& exchange) {
  co_await exchange.start({200, {{"Content-Length", "100000"}}}, numbers(99));
}

Task<void> never_end(http::Exchange& exchange) {
  const std::string lines(64 * 1024, '\n');
  co_await exchange.start({200, {}}, numbers(99));
  while (co_await exchange.write(lines)) {
  }
}

Task<void> compress(http::Exchange& exchange) {
  co_await exchange.respond({200, {{"Content-Encoding", "gzip"}}}, "\x1f\x8b\x08 and so on");
}

Task<void> lead_away(http::Exchange& exchange) {
  co_await exchange.respond({302, {{"Location", "http://example.com/login"}}}, numbers(99));
}

Task<void> fail(http::Exchange& exchange) {
  co_await exchange.respond(500, "text/html", "<html>\n" + numbers(99) + "</html>\n");
}

struct Way {
  const char* name;
  Task<void> (*answer)(http::Exchange&);
};

class HostileExporters : public ::testing::TestWithParam<Way> {};

TEST_P(HostileExporters, LeaveTheLastNumbersAndOthersAlone) {
  ScrapeScene scene;
  scene.options.timeout = std::chrono::milliseconds(300);
  scene.options.max_page = 1 << 20;
  int waiting = 3;  // below zero: as the parameter says
  const auto answer = [&](http::Exchange& exchange) -> Task<void> {
    if (waiting < 0) {
      co_await GetParam().answer(exchange);
    } else {
      const std::string page = numbers(waiting);
      co_await exchange.respond(200, "text/plain", page);
    }
  };
  const Endpoint hostile{.address = scene.serve_by(answer), .name = "hostile"};
  const Endpoint other{.address = scene.serve([](const auto&) { return numbers(7); }), .name = "other"};
  scene.configure(engines(), {hostile, other});
  int step = 0;
  std::uint64_t failures = 0;
  std::uint64_t pages = 0;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
    if (step == 0 && scene.endpoint(0).numbers().waiting == 3) {
      waiting = -1;
      failures = stats.failures;
      pages = stats.pages;
      ++step;
    } else if (step == 1 && stats.failures >= failures + 2 && stats.pages >= pages + 5) {
      EXPECT_EQ(scene.endpoint(0).numbers().waiting, 3) << "what was read of a broken page does not count";
      EXPECT_EQ(scene.endpoint(1).numbers().waiting, 7);
      waiting = 5;
      ++step;
    }
    return step == 2 && scene.endpoint(0).numbers().waiting == 5;
  })) << step;
  EXPECT_FALSE(scene.endpoint(0).unreachable()) << "it accepts connections";
  const json::Value state = scene.picker->debug_state();
  EXPECT_GE(json::int_at(state, "dataSources[0].failedPolls").value_or(0), 2);
}

INSTANTIATE_TEST_SUITE_P(Ways, HostileExporters,
                         ::testing::Values(Way{"Freeze", freeze}, Way{"SayNothing", say_nothing},
                                           Way{"Drip", drip}, Way{"BreakOff", break_off},
                                           Way{"NeverEnd", never_end}, Way{"Compress", compress},
                                           Way{"LeadAway", lead_away}, Way{"Fail", fail}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST(WorthlessPages, AreAnswersButNoNews) {
  for (const std::string page :
       {"<html>It works!</html>\n", "# only comments\n", "\n\n\n", "\xff\xfe\x00\x01"}) {
    ScrapeScene scene;
    const auto exporter = scene.serve([&](const auto&) { return page; });
    scene.configure(engines(), {{.address = exporter, .name = "e"}});
    EXPECT_TRUE(scene.until([](const auto& stats) { return stats.pages >= 3; }));
    EXPECT_EQ(scene.endpoint().age(std::chrono::steady_clock::now()), Duration::max()) << page;
  }
}

TEST(Numbers, ThatNoEngineCountsToAreNotTaken) {
  struct Row {
    const char* page;
    float waiting;
  };
  for (const Row& row : {Row{"vllm:num_requests_waiting 1e300\nvllm:num_requests_waiting 2\n", 2},
                         Row{"vllm:num_requests_waiting NaN\nvllm:num_requests_waiting 3\n", 3},
                         Row{"vllm:num_requests_waiting +Inf\nvllm:num_requests_waiting 4\n", 4},
                         Row{"vllm:num_requests_waiting -Inf\nvllm:num_requests_waiting 5\n", 5}}) {
    ScrapeScene scene;
    const auto exporter = scene.serve([&](const auto&) { return std::string(row.page); });
    scene.configure(engines(), {{.address = exporter, .name = "e"}});
    EXPECT_TRUE(scene.until_known());
    EXPECT_EQ(scene.endpoint().numbers().waiting, row.waiting) << row.page;
  }
}

TEST(EnginesThatBeginAnew, AreBelievedThoughTheyCountLess) {
  ScrapeScene scene;
  int total = 900;
  const auto exporter = scene.serve([&](const auto&) {
    return fmt::format("requests_total {}\nvllm:num_requests_waiting {}\n", total, total);
  });
  scene.configure(engines(), {{.address = exporter, .name = "e"}});
  EXPECT_TRUE(scene.until([&](const auto&) { return scene.attribute("total") == 900; }));
  total = 1;
  EXPECT_TRUE(scene.until([&](const auto&) { return scene.attribute("total") == 1; }));
  EXPECT_EQ(scene.endpoint().numbers().waiting, 1);
}

TEST(Names, AreLookedUpAgainAndAddressesAreNot) {
  for (const bool named : {true, false}) {
    ScrapeScene scene;
    scene.options.resolve_every = std::chrono::milliseconds(5);
    std::set<std::uint16_t> connections;
    auto exporter = scene.serve_by([&](http::Exchange& exchange) -> Task<void> {
      connections.insert(exchange.peer().port);
      const std::string page = numbers(3);
      co_await exchange.respond(200, "text/plain", page);
    });
    exporter.host = named ? "localhost" : exporter.host;
    scene.configure(engines(), {{.address = exporter, .name = "e"}});
    EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
      return stats.pages >= 20 && (!named || connections.size() >= 3);
    }));
    EXPECT_EQ(connections.size() > 1, named);
  }
}

TEST(Clocks, ThatDisagreeMakeNumbersFreshNotWorthless) {
  ScrapeScene scene;
  scene.configure(engines(), {{.address = {"127.0.0.1", 1}, .name = "e"}});
  const TimePoint now = std::chrono::steady_clock::now();
  scene.endpoint().report({.waiting = 3}, now + std::chrono::hours(1));
  EXPECT_LT(scene.endpoint().age(now), Duration::zero());
  EXPECT_TRUE(scene.picker->pick({.model = "m"}));
}

// Somebody who changes his mind faster than the scraper looks.
TEST(EndpointsThatFlap, AreAskedByOneTaskWhenTheyHaveComeToRest) {
  ScrapeScene scene;
  int asked = 0;
  const Endpoint flaps{.address = scene.serve([&](const auto&) {
                         ++asked;
                         return numbers(3);
                       }),
                       .name = "flaps",
                       .uid = "u1"};
  int beats = 0;
  const Endpoint stays{.address = scene.serve([&](const auto&) {
                         ++beats;
                         return numbers(7);
                       }),
                       .name = "stays"};
  scene.configure(engines(), {flaps, stays});
  const Lease running(scene.picker->endpoints()->endpoints[0]);
  const Lease also_running(scene.picker->endpoints()->endpoints[1]);  // nobody is asked less often for quiet
  int flap = 0;
  int asked_before = 0;
  int beats_before = 0;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats&) {
    if (flap < 40) {
      ++flap;
      scene.picker->update(flap % 2 == 1 ? std::vector{stays} : std::vector{flaps, stays});
      asked_before = asked;
      beats_before = beats;
    }
    return beats >= beats_before + 60;
  }));
  EXPECT_EQ(scene.endpoint(0).running(), 1);
  EXPECT_GT(asked, asked_before);
  // Both have the same intervals; two tasks would ask twice as often.
  EXPECT_LT(asked - asked_before, 3 * (beats - beats_before) / 2);
}

TEST(EndpointsThatAreDescribedAnew, AreAskedWhereTheyAreNow) {
  ScrapeScene scene;
  const auto first = scene.serve([](const auto&) { return numbers(3); });
  const auto second = scene.serve([](const auto&) { return "sglang:num_queue_reqs 5\n"; });
  Endpoint engine{.address = {"127.0.0.1", 1}, .name = "e", .metrics = first};
  scene.configure(engines(), {engine});
  const Lease running(scene.picker->endpoints()->endpoints[0]);
  EXPECT_TRUE(scene.until([&](const auto&) {
    if (scene.endpoint().numbers().waiting == 3) {
      engine.metrics = second;
      engine.labels["llm-d.ai/engine-type"] = "sglang";
      scene.picker->update({engine});
    }
    return scene.endpoint().numbers().waiting == 5;
  }));
  EXPECT_EQ(scene.endpoint().running(), 1);
}

}  // namespace
}  // namespace llmd::picker
