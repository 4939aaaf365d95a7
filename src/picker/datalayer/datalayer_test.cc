// Numbers of engines: what is read from their pages, and how they reach decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "async/scope.h"
#include "http/server.h"
#include "picker/datalayer/metrics_scanner.h"
#include "picker/datalayer/page_share.h"
#include "picker/datalayer/scraper.h"

namespace llmd::picker {
namespace {

EngineReport scan(std::string_view engine, std::string_view page) {
  for (const EngineMapping& mapping : builtin_engines()) {
    if (mapping.engine == engine) {
      return MetricsScanner(mapping).scan(page);
    }
  }
  ADD_FAILURE() << engine;
  return {};
}

TEST(MetricsScannerTest, ReadsWhatVllmWrites) {
  const auto report = scan("vllm", R"(# HELP vllm:num_requests_running x
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:cache_config_info{block_size="16",num_gpu_blocks="1000",odd="a\"}{,"} 1.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.6e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="a, b",waiting_lora_adapters="c"} 1.7e+09
)");
  EXPECT_EQ(report.running, 7) << "engines of one server are summed";
  EXPECT_EQ(report.waiting, 2);
  EXPECT_EQ(report.kv_usage, 0.75F) << "the fullest counts";
  EXPECT_EQ(report.block_tokens, 16);
  EXPECT_EQ(report.blocks, 1000);
  ASSERT_TRUE(report.adapters);
  EXPECT_THAT(report.adapters->active, testing::ElementsAre("a", "b"));
  EXPECT_THAT(report.adapters->waiting, testing::ElementsAre("c"));
  EXPECT_EQ(report.adapters->limit, 4);
}

TEST(MetricsScannerTest, DoesNotDependOnHowThePageArrives) {
  const std::string page =
      "# HELP x\nvllm:num_requests_waiting{engine=\"0\"} 2.0\nvllm:num_requests_waiting" +
      std::string("{engine=\"1\"} 3.0\n") + std::string(100'000, 'v') +
      "\nvllm:num_requests_running 4\nvllm:kv_cache_usage_perc 0.5";
  const MetricsScanner scanner(builtin_engines().front());
  for (const std::size_t step : {1U, 2U, 17U, 4096U, 200'000U}) {
    MetricsScanner::Pass pass(scanner);
    for (std::size_t at = 0; at < page.size(); at += step) {
      pass.feed(std::string_view(page).substr(at, step));
    }
    const EngineReport report = pass.finish();
    EXPECT_EQ(report.waiting, 5) << step;
    EXPECT_EQ(report.running, 4) << step;
    EXPECT_EQ(report.kv_usage, 0.5F) << step;
  }
}

TEST(MetricsScannerTest, ReadsOtherEngines) {
  const auto sglang =
      scan("sglang",
           "sglang:num_queue_reqs{a=\"b\"} 5\nsglang:num_running_reqs 6\n"
           "sglang:token_usage 0.5\nsglang:cache_config_info{page_size=\"64\",num_pages=\"9\"} 1\n");
  EXPECT_EQ(sglang.waiting, 5);
  EXPECT_EQ(sglang.running, 6);
  EXPECT_EQ(sglang.kv_usage, 0.5F);
  EXPECT_EQ(sglang.block_tokens, 64);
  const auto triton = scan("triton-tensorrt-llm",
                           "nv_trt_llm_request_metrics{request_type=\"waiting\",model=\"x\"} 2\n"
                           "nv_trt_llm_request_metrics{request_type=\"scheduled\",model=\"x\"} 3\n"
                           "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"tokens_per\"} 32\n");
  EXPECT_EQ(triton.waiting, 2);
  EXPECT_EQ(triton.running, 3);
  EXPECT_EQ(triton.block_tokens, 32);
}

TEST(MetricsScannerTest, WhatIsMissingOrMalformedIsAbsent) {
  for (const std::string_view page :
       {"", "vllm:num_requests_waiting", "vllm:num_requests_waiting{", "vllm:num_requests_waiting{a=\"b} 3",
        "vllm:num_requests_waiting NaN", "vllm:num_requests_waiting x"}) {
    EXPECT_TRUE(std::isnan(scan("vllm", page).waiting)) << page;
  }
}

TEST(MetricSpecTest, TakesLabelsWithAndWithoutQuotes) {
  const auto spec = MetricSpec::parse(R"( name{a=b, c="d e"} )").value();
  EXPECT_EQ(spec.name, "name");
  ASSERT_EQ(spec.labels.size(), 2);
  EXPECT_EQ(spec.labels[1].second, "d e");
  EXPECT_FALSE(MetricSpec::parse("name{a"));
}

// What the exporter was asked in turn: w(hole) or p(art).
std::string questions(PageShare& share, const std::function<void(PageShare::Question)>& answer, int count) {
  std::string asked;
  for (int i = 0; i < count; ++i) {
    asked += share.next() == PageShare::Question::Whole ? 'w' : 'p';
    answer(share.next());
  }
  return asked;
}

TEST(PageShareTest, AnExporterThatTellsAPartAloneIsAskedForItAndComparedAgainAndAgain) {
  PageShare share;
  const auto answer = [&](PageShare::Question question) {
    share.answered({.waiting = 1, .running = 2}, question == PageShare::Question::Whole ? 90'000 : 400);
  };
  EXPECT_EQ(questions(share, answer, 66), "w" + std::string(64, 'p') + "w");
}

TEST(PageShareTest, OneThatIgnoresTheQuestionOrSaysLessIsAskedForWholePages) {
  struct Exporter {
    std::string_view is;
    std::size_t whole_bytes;
    std::size_t part_bytes;
    EngineReport part;
    std::string_view asked;
  };
  const EngineReport all{.waiting = 1, .running = 2};
  for (const Exporter& exporter :
       {Exporter{"ignoring", 90'000, 90'000, all, "wpwww"}, Exporter{"silent", 90'000, 0, {}, "wpwww"},
        Exporter{"forgetful", 90'000, 300, {.running = 2}, "wpwww"},
        Exporter{"small", 2'000, 300, all, "wwwww"}}) {
    PageShare share;
    const auto answer = [&](PageShare::Question question) {
      const bool whole = question == PageShare::Question::Whole;
      share.answered(whole ? all : exporter.part, whole ? exporter.whole_bytes : exporter.part_bytes);
    };
    EXPECT_EQ(questions(share, answer, 5), exporter.asked) << exporter.is;
  }
}

TEST(PageShareTest, OneThatRefusesTheQuestionIsNotAskedItAgainUntilItWasAway) {
  PageShare share;
  bool refuses = true;
  const auto answer = [&](PageShare::Question question) {
    if (question == PageShare::Question::Part && refuses) {
      share.failed();
    } else {
      share.answered({.waiting = 1}, question == PageShare::Question::Whole ? 90'000 : 400);
    }
  };
  EXPECT_EQ(questions(share, answer, 4), "wpww");
  share.failed();
  refuses = false;
  EXPECT_EQ(questions(share, answer, 4), "wppp");
}

TEST(ScraperTest, AsksForTheWantedSeriesAloneWhereThatIsUnderstood) {
  async::EventLoop loop;
  int parts = 0;
  const std::string numbers = "vllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.5\n";
  http::Server engine(loop, {}, [&](http::Exchange& exchange) -> Task<void> {
    const std::string_view query = exchange.request().query();
    const bool part = query.contains("name%5B%5D=vllm:num_requests_waiting&");
    EXPECT_EQ(part, !query.empty()) << query;
    parts += part ? 1 : 0;
    const std::string page = part ? numbers : std::string(50'000, '#') + "\n" + numbers;
    co_await exchange.respond(200, "text/plain", page);
  });
  const auto address = engine.listen({"127.0.0.1", 0}).value();
  auto picker = Picker::from_config("", "x").value();
  picker->update({{.address = address, .name = "engine"}});
  Scraper scraper(loop, *picker, {.interval = std::chrono::milliseconds(2)});
  const auto scene = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("engine", engine.run());
      scope.spawn("scraper", scraper.run());
      const auto deadline = async::Deadline::after(std::chrono::seconds(10));
      while (parts < 3 && !deadline.expired()) {
        co_await async::sleep(std::chrono::milliseconds(1));
      }
    });
  };
  loop.block_on(scene());
  EXPECT_GE(parts, 3);
  EXPECT_EQ(picker->endpoints()->endpoints.front()->numbers().waiting, 3);
}

TEST(ScraperTest, BringsAnEnginesNumbersToItsEndpoint) {
  async::EventLoop loop;
  float waiting = 3;
  http::Server engine(loop, {}, [&](http::Exchange& exchange) -> Task<void> {
    const std::string page =
        fmt::format("vllm:num_requests_waiting {}\nvllm:kv_cache_usage_perc 0.5\n", waiting);
    co_await exchange.respond(200, "text/plain", page);
  });
  const auto address = engine.listen({"127.0.0.1", 0}).value();
  auto picker = Picker::from_config("", "x").value();
  picker->update({{.address = address, .name = "engine"}});
  const auto endpoint = picker->endpoints()->endpoints.front();
  Scraper scraper(loop, *picker, {.interval = std::chrono::milliseconds(2)});
  const auto seen = [&](float wanted) -> Task<void> {
    const auto deadline = async::Deadline::after(std::chrono::seconds(10));
    while (endpoint->numbers().waiting != wanted && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(endpoint->numbers().waiting, wanted);
  };
  const auto scene = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("engine", engine.run());
      scope.spawn("scraper", scraper.run());
      co_await seen(3);
      waiting = 8;
      co_await seen(8);
    });
  };
  loop.block_on(scene());
  EXPECT_EQ(endpoint->numbers().kv_usage, 0.5F);
  EXPECT_LT(endpoint->age(std::chrono::steady_clock::now()), std::chrono::seconds(10));
}

// Nobody listens there, until somebody does.
net::Address closed_port(async::EventLoop& loop) {
  http::Server gone(loop, {}, [](http::Exchange&) -> Task<void> { co_return; });
  return gone.listen({"127.0.0.1", 0}).value();
}

TEST(ScraperTest, KnowsWhoRefusesConnectionsWhereNumbersComeFromTheSameAddress) {
  async::EventLoop loop;
  http::Server engine(loop, {}, [](http::Exchange& exchange) -> Task<void> {
    co_await exchange.respond(404, "text/plain", "no numbers here");
  });
  const auto open = engine.listen({"127.0.0.1", 0}).value();
  const auto closed = closed_port(loop);
  auto picker = Picker::from_config("", "x").value();
  picker->update({{.address = closed, .name = "dead"},
                  {.address = open, .name = "without-numbers"},
                  {.address = open, .name = "metrics-elsewhere", .metrics = closed},
                  {.address = closed, .name = "dead-with-metrics", .metrics = open}});
  const auto all = picker->endpoints()->endpoints;
  Scraper scraper(loop, *picker, {.interval = std::chrono::milliseconds(2)});
  const auto until = [](std::function<bool()> holds) -> Task<void> {
    const auto deadline = async::Deadline::after(std::chrono::seconds(10));
    while (!holds() && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
  };
  std::optional<http::Server> restarted;
  const auto scene = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("engine", engine.run());
      scope.spawn("scraper", scraper.run());
      co_await until([&] { return scraper.stats().failures > 20; });
      EXPECT_TRUE(all[0]->unreachable());
      EXPECT_FALSE(all[1]->unreachable()) << "an answer is an answer";
      EXPECT_FALSE(all[2]->unreachable()) << "its engine was never asked";
      EXPECT_FALSE(all[3]->unreachable()) << "its engine was never asked";
      restarted.emplace(loop, http::ServerOptions{}, [](http::Exchange& exchange) -> Task<void> {
        co_await exchange.respond(200, "text/plain", "vllm:num_requests_waiting 1\n");
      });
      EXPECT_TRUE(restarted->listen(closed));
      scope.spawn("restarted", restarted->run());
      co_await until([&] { return !all[0]->unreachable(); });
      EXPECT_FALSE(all[0]->unreachable()) << "it is back";
    });
  };
  loop.block_on(scene());
  EXPECT_EQ(all[0]->contact_changes(), 2);
}

}  // namespace
}  // namespace llmd::picker
