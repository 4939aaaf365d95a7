#include "bench/load_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "async/deadline.h"
#include "async/scope.h"
#include "bench/load.h"
#include "bench/load_report.h"
#include "bench/process_tree.h"
#include "bench/stream_meter.h"
#include "http/server.h"
#include "json/path.h"

namespace llmd::bench {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST(LatencyHistogram, PercentilesAreRightToOnePercent) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 100'000; ++i) {
    histogram.record(std::chrono::microseconds(i));
  }
  EXPECT_NEAR(std::chrono::duration<double>(histogram.quantile(0.5)).count(), 0.05, 0.0008);
  EXPECT_NEAR(std::chrono::duration<double>(histogram.quantile(0.99)).count(), 0.099, 0.0016);
  EXPECT_EQ(histogram.quantile(1), 100ms);
  EXPECT_EQ(histogram.max(), 100ms);
  EXPECT_EQ(histogram.count(), 100'000U);
}

TEST(LatencyHistogram, HoldsTheSmallestAndTheLargest) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0ns);
  histogram.record(-5ns);
  EXPECT_EQ(histogram.quantile(1), 0ns);
  histogram.record(3ns);
  EXPECT_EQ(histogram.quantile(1), 3ns);
  histogram.record(Duration::max());
  EXPECT_EQ(histogram.quantile(1), Duration::max());
}

TEST(StreamMeter, CountsTheSameEventsHoweverTheBytesArrive) {
  const std::string stream =
      ": comment\r\n\r\ndata: {\"a\":1}\n\nevent: x\ndata: 1\ndata: 2\n\n\n\ndata:" + std::string(2000, 'x') +
      "\r\n\r\ndata: [DONE]\n\n";
  for (std::size_t size = 1; size < 40; ++size) {
    StreamMeter meter;
    int events = 0;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      events += meter.feed(std::string_view(stream).substr(at, size));
    }
    EXPECT_EQ(events, 3);
    EXPECT_TRUE(meter.done());
    EXPECT_EQ(meter.error(), "");
  }
}

TEST(StreamMeter, NoticesAnErrorAndAMissingEnd) {
  StreamMeter meter;
  meter.feed("data: {\"error\": {\"message\": \"gone\"}}\n\n");
  EXPECT_THAT(meter.error(), HasSubstr("gone"));
  EXPECT_FALSE(meter.done());
}

TEST(ProcessTree, CountsDescendantsAndTheirMemory) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[1]);
    char byte = 0;
    [[maybe_unused]] const auto end = ::read(ends[0], &byte, 1);  // until the parent closes its side
    ::_exit(0);
  }
  const auto usage = read_tree_usage(::getpid());
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(usage) << usage.error().text();
  EXPECT_EQ(usage->processes, 2);
  EXPECT_GT(usage->rss_bytes, 1U << 20);
  EXPECT_GT(usage->pss_bytes, 0U);
  EXPECT_EQ(read_tree_usage(child).error().kind, ErrorKind::NotFound);
}

// A model server whose answers take no time.
class LoadTest : public testing::Test {
 protected:
  Task<void> answer(http::Exchange& exchange) {
    const auto body = co_await http::read_all(exchange.body(), 1 << 20);
    bodies_.push_back(body.value_or(""));
    targets_.insert(exchange.request().target);
    if (fail_every_ > 0 && static_cast<int>(bodies_.size()) % fail_every_ == 0) {
      co_await exchange.respond(503, "application/json", "{\"error\":\"busy\"}");
      co_return;
    }
    if (stall_at_ > 0 && static_cast<int>(bodies_.size()) == stall_at_) {
      co_await async::sleep(200ms);
    }
    if (bodies_.back().find("\"stream\":true") == std::string::npos) {
      co_await exchange.respond(200, "application/json", "{}");
      co_return;
    }
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
    for (int i = 0; i < 3; ++i) {
      co_await exchange.write("data: {\"choices\":[]}\n\n");
    }
    co_await exchange.finish(end_of_stream_);
  }

  Result<LoadResult> run(std::vector<std::string> arguments, LoadHooks hooks = {}) {
    Result<LoadResult> result = cancelled("not run");
    auto task = [&]() -> Task<void> {
      http::Server server(loop_, {}, [this](http::Exchange& exchange) { return answer(exchange); });
      const auto address = server.listen({"127.0.0.1", 0});
      arguments.push_back("--url=http://" + address->to_string() + "/default/smollm2");
      auto options = parse_load_options(arguments);
      EXPECT_TRUE(options) << options.error().text();
      async::Scope scope(loop_);
      scope.spawn("server", server.run());
      Load load(loop_, *options, hooks);
      load_ = &load;
      auto outcome = co_await load.run();
      result = std::move(outcome);
      co_await scope.close();
    };
    loop_.block_on(task());
    return result;
  }

  async::EventLoop loop_;
  Load* load_ = nullptr;
  std::vector<std::string> bodies_;
  std::set<std::string> targets_;
  int fail_every_ = 0;
  int stall_at_ = 0;
  std::string end_of_stream_ = "data: [DONE]\n\n";
};

TEST_F(LoadTest, SendsTheNumberOfRequestsItWasAskedFor) {
  const auto result =
      run({"--requests=50", "--concurrency=4", "--model=m\"x", "--prompt-bytes=100", "--max-tokens=7"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->succeeded, 50U);
  EXPECT_EQ(result->failed, 0U);
  EXPECT_EQ(result->latency.count(), 50U);
  EXPECT_THAT(targets_, UnorderedElementsAre("/default/smollm2/v1/chat/completions"));
  const auto body = json::parse(bodies_.front());
  ASSERT_TRUE(body) << body.error().text();
  EXPECT_EQ(json::string_at(*body, "model"), "m\"x");
  EXPECT_EQ(json::int_at(*body, "max_tokens"), 7);
  EXPECT_THAT(*json::string_at(*body, "messages[0].content"), SizeIs(100));
  EXPECT_THAT(std::set(bodies_.begin(), bodies_.end()), SizeIs(50)) << "every prompt is another one";
}

TEST_F(LoadTest, SendsOnePromptWhenAsked) {
  ASSERT_TRUE(run({"--requests=5", "--same-prompt", "--api=completions", "--stream", "--ignore-eos"}));
  EXPECT_THAT(std::set(bodies_.begin(), bodies_.end()), SizeIs(1));
  EXPECT_THAT(targets_, UnorderedElementsAre("/default/smollm2/v1/completions"));
  EXPECT_EQ(json::bool_at(*json::parse(bodies_.front()), "ignore_eos"), true);
}

TEST_F(LoadTest, PromptsOfAGroupBeginAlikeAndNoTwoAreTheSame) {
  ASSERT_TRUE(run({"--requests=60", "--prefix-groups=3", "--prefix-bytes=200"}));
  std::set<std::string> systems;
  std::set<std::string> questions;
  for (const std::string& body : bodies_) {
    const auto request = *json::parse(body);
    const auto system = std::string(*json::string_at(request, "messages[0].content"));
    EXPECT_THAT(system, SizeIs(200));
    systems.insert(system);
    questions.insert(std::string(*json::string_at(request, "messages[1].content")));
  }
  EXPECT_THAT(systems, SizeIs(3));
  EXPECT_THAT(questions, SizeIs(60));
}

TEST_F(LoadTest, MeasuresStreamsEventByEvent) {
  const auto result = run({"--requests=20", "--concurrency=2", "--stream"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->succeeded, 20U);
  EXPECT_EQ(result->events, 60U);
  EXPECT_EQ(result->first_token.count(), 20U);
  EXPECT_LE(result->first_token.max(), result->latency.max());
}

TEST_F(LoadTest, CountsErrorsByTheirKind) {
  fail_every_ = 5;
  const auto result = run({"--requests=50", "--concurrency=3"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->succeeded, 40U);
  EXPECT_THAT(result->errors, UnorderedElementsAre(Pair("http 503", 10)));
  EXPECT_EQ(result->examples.at("http 503"), "{\"error\":\"busy\"}");
}

TEST_F(LoadTest, AStreamWithoutItsEndIsAnError) {
  end_of_stream_ = "";
  const auto result = run({"--requests=4", "--stream"});
  ASSERT_TRUE(result);
  EXPECT_THAT(result->errors, UnorderedElementsAre(Pair("stream without [DONE]", 4)));
}

TEST_F(LoadTest, AServerThatIsNotThereIsAnError) {
  const auto options =
      parse_load_options(std::vector<std::string>{"--url=http://127.0.0.1:1/v1/completions", "--requests=3"});
  ASSERT_TRUE(options);
  Load load(loop_, *options);
  const auto result = loop_.block_on(load.run());
  ASSERT_TRUE(result);
  EXPECT_THAT(result->errors, UnorderedElementsAre(Pair("unavailable", 3)));
}

TEST_F(LoadTest, TheOpenLoopSendsAtItsRateWhateverTheAnswersDo) {
  // One answer stalls for 200 ms; the twenty requests meant for that time wait for no one and are not slowed
  // down.
  stall_at_ = 10;
  const auto result = run({"--requests=50", "--rate=200", "--arrival=constant", "--concurrency=100"});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->succeeded, 50U);
  EXPECT_GE(result->latency.max(), 200ms);
  EXPECT_GE(result->elapsed, 245ms) << "49 gaps of 5 ms";
}

TEST_F(LoadTest, TheOpenLoopCountsTheTimeARequestCouldNotBeSent) {
  // With one connection the requests behind the stalled one start late: their lateness is part of their
  // latency.
  stall_at_ = 5;
  const auto result = run({"--requests=30", "--rate=200", "--arrival=constant", "--concurrency=1"});
  ASSERT_TRUE(result);
  EXPECT_GE(result->latency.quantile(0.5), 50ms);
}

TEST_F(LoadTest, WarmUpIsNotCounted) {
  std::size_t before = 0;
  const auto result = run({"--requests=10", "--warmup=30ms"}, {.on_start = [&] { before = bodies_.size(); }});
  ASSERT_TRUE(result);
  EXPECT_GT(before, 0U);
  EXPECT_EQ(result->succeeded, 10U);
  EXPECT_GE(bodies_.size(), before + 10);
}

TEST_F(LoadTest, StopsEarlyWithWhatItHas) {
  const auto result = run({"--duration=1h"}, {.on_start = [&] { loop_.post([this] { load_->stop(); }); }});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->failed, 0U);
}

TEST(LoadReport, IsReadableAsTextAndAsJson) {
  auto options =
      parse_load_options(std::vector<std::string>{"--url=http://h:1", "--pid=gateway=42", "--requests=1"});
  ASSERT_TRUE(options);
  LoadResult result;
  result.elapsed = 2s;
  result.succeeded = 1000;
  result.failed = 2;
  result.errors["unavailable"] = 2;
  result.examples["unavailable"] = "refused";
  result.latency.record(10ms);
  const Usage before{.trees = {{.cpu = 1s}}, .own = 0s};
  const Usage after{.trees = {{.cpu = 2s, .rss_bytes = 1 << 20, .pss_bytes = 1 << 19, .processes = 3}},
                    .own = 100ms};
  const LoadReport report = make_report(*options, result, before, after);
  const auto value = json::parse(to_json(report));
  ASSERT_TRUE(value);
  EXPECT_EQ(json::double_at(*value, "processes[0].cpu_ms_per_request"), 1.0);
  EXPECT_EQ(json::double_at(*value, "processes[0].cores"), 0.5);
  EXPECT_EQ(json::string_at(*value, "processes[0].name"), "gateway");
  EXPECT_EQ(json::double_at(*value, "requests_per_second"), 500.0);
  EXPECT_EQ(json::double_at(*value, "client_cpu_ms_per_request"), 0.1);
  EXPECT_EQ(json::int_at(*value, "errors.unavailable"), 2);
  EXPECT_THAT(to_text(report),
              HasSubstr("closed loop, 32 clients, 2.00 s: 1000 requests (500.0/s), 2 failed"));
  EXPECT_THAT(to_text(report), HasSubstr("error: 2 × unavailable: refused"));
}

struct BadArguments {
  std::vector<std::string> arguments;
  std::string message;
};
class BadLoadArguments : public testing::TestWithParam<BadArguments> {};
TEST_P(BadLoadArguments, AreRefusedWithTheReason) {
  const auto options = parse_load_options(GetParam().arguments);
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().text(), HasSubstr(GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(
    Table, BadLoadArguments,
    testing::Values(
        BadArguments{{}, "--url is missing"}, BadArguments{{"--url=h:1"}, "--url: 'h:1' is no URL"},
        BadArguments{{"--url"}, "--url needs a value"},
        BadArguments{{"--url=http://h", "--concurency=2"}, "did you mean '--concurrency'?"},
        BadArguments{{"--url=http://h", "--requests=0"}, "--requests: expected a whole number from 1"},
        BadArguments{{"--url=http://h", "--rate=fast"}, "--rate: expected requests per second, got 'fast'"},
        BadArguments{{"--url=http://h", "--duration=20"}, "--duration: '20' is not a duration"},
        BadArguments{{"--url=http://h", "--pid=x=y"}, "--pid: expected a whole number"},
        BadArguments{{"--url=http://h", "now"}, "unexpected 'now'"}));

}  // namespace
}  // namespace llmd::bench
