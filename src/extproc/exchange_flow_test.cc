// Flow control as a proxy sees it: requests that wait, are refused, or end because others need their room.
#include "extproc/rules.h"
#include "extproc/testing_exchange.h"
#include "json/path.h"
#include "picker/testing_clock.h"

namespace llmd::extproc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// One client behind the proxy: its call and its exchange.
struct Client {
  Client(async::EventLoop& loop, Service::Shared& shared)
      : call(loop), exchange(std::make_shared<Exchange>(shared, call)) {}
  ~Client() { leaves(); }
  void leaves() {
    if (exchange) {
      exchange->closed();
      exchange.reset();
    }
  }
  FakeCall call;
  std::shared_ptr<Exchange> exchange;
};

class ExchangeFlowTest : public ExchangeTest {
 public:
  // One endpoint with room for one request.
  void start(std::string_view flow = "") {
    serve(fmt::format("featureGates: [flowControl]\nplugins: [{{type: concurrency-detector, parameters: "
                      "{{maxConcurrency: 1}}}}]\nflowControl: {{saturationDetector: {{pluginRef: "
                      "concurrency-detector}}{}}}\n",
                      flow),
          {"10.0.0.1"}, {.clock = &clock_});
    auto rules = std::make_shared<Rules>();
    rules->priorities["batch"] = -1;
    shared().pools->only()->set_rules(std::move(rules));
  }
  std::unique_ptr<Client> asks(const Fields& more = {}) {
    auto client = std::make_unique<Client>(loop_, shared());
    const auto begin =
        headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed, false, more);
    client->exchange->message(begin.SerializeAsString());
    client->exchange->message(body(kBody, true).SerializeAsString());
    return client;
  }
  // Until `done`, with what is posted to the loop.
  void run_until(const std::function<bool()>& done) {
    loop_.block_on([&]() -> Task<void> {
      const auto deadline = async::Deadline::after(std::chrono::seconds(30));
      while (!done() && !deadline.expired()) {
        co_await async::sleep(std::chrono::milliseconds(1));
      }
      EXPECT_TRUE(done());
    }());
  }
  void answered(const Client& client) {
    run_until([&] { return !client.call.sent.empty(); });
  }
  void waits(const Client& client, std::int64_t waiting = 1) {
    run_until([&] { return json::int_at(picker().debug_state(), "flowControl.waiting") == waiting; });
    EXPECT_THAT(client.call.sent, IsEmpty());
  }
  static pb::ProcessingResponse first(const Client& client, std::size_t at = 0) {
    pb::ProcessingResponse answer;
    EXPECT_TRUE(client.call.sent.size() > at && answer.ParseFromString(client.call.sent[at]));
    return answer;
  }
  static void expect_refused(const pb::ProcessingResponse& answer, std::uint32_t status,
                             std::string_view text, std::string_view reason) {
    ASSERT_TRUE(answer.has_immediate_response());
    EXPECT_EQ(answer.immediate_response().status().code(), status);
    EXPECT_THAT(answer.immediate_response().body(), HasSubstr(std::string(text)));
    EXPECT_EQ(header_of(answer.immediate_response().headers(), "x-llm-d-request-dropped-reason"), reason);
  }

  picker::HandClock clock_;
};

TEST_F(ExchangeFlowTest, ARequestWaitsForItsTurnAndIsThenRouted) {
  start();
  const auto one = asks();
  answered(*one);
  EXPECT_TRUE(chosen(first(*one).request_headers().response()));
  const auto two = asks();
  waits(*two);
  one->leaves();
  answered(*two);
  EXPECT_TRUE(chosen(first(*two).request_headers().response()));
  two->leaves();
}

TEST_F(ExchangeFlowTest, AFullQueueIs429AndBeforeAnEmptyPool503) {
  for (const bool empty : {false, true}) {
    start(", maxRequests: 1");
    const auto one = asks();
    answered(*one);
    if (empty) {
      picker().update({});
    }
    const auto two = asks();
    waits(*two);
    const auto three = asks();
    answered(*three);
    if (empty) {
      expect_refused(first(*three), 503,
                     "ServiceUnavailable - no endpoints available: ", "rejected-no-endpoints");
    } else {
      expect_refused(first(*three), 429, "ResourceExhausted - ", "rejected-saturated");
    }
    EXPECT_TRUE(three->call.ended && three->call.ended->ok());
  }
}

TEST_F(ExchangeFlowTest, WaitingTooLongIs429AndForAnEndpoint503) {
  for (const bool empty : {false, true}) {
    start(", defaultRequestTTL: 10s");
    const auto one = asks();
    answered(*one);
    if (empty) {
      picker().update({});
    }
    const auto two = asks();
    waits(*two);
    clock_.pass(std::chrono::seconds(10));
    picker().numbers_changed();
    answered(*two);
    if (empty) {
      expect_refused(first(*two), 503,
                     "ServiceUnavailable - request timed out in queue and no endpoints are available: ",
                     "rejected-no-endpoints");
    } else {
      expect_refused(first(*two), 429,
                     "ResourceExhausted - request timed out in queue: ", "rejected-ttl-expired");
    }
  }
}

TEST_F(ExchangeFlowTest, WhoeverWaitsIsToldWhenThePickerStops) {
  start();
  const auto one = asks();
  answered(*one);
  const auto two = asks();
  waits(*two);
  picker().shut_down();
  answered(*two);
  expect_refused(first(*two), 503,
                 "ServiceUnavailable - flow controller shutting down: ", "rejected-shutting-down");
}

TEST_F(ExchangeFlowTest, AClientThatLeavesTheQueueGetsNothingAndBlocksNobody) {
  start();
  const auto one = asks();
  answered(*one);
  const auto two = asks();
  waits(*two);
  two->leaves();
  run_until([&] { return json::int_at(picker().debug_state(), "flowControl.waiting") == 0; });
  EXPECT_THAT(two->call.sent, IsEmpty());
  EXPECT_EQ(running(), 1);
}

TEST_F(ExchangeFlowTest, ARunningRequestIsEvictedForOneOfAHigherPriority) {
  start(", enableEviction: true");
  const auto batch = asks({{"x-llm-d-inference-objective", "batch"}});
  answered(*batch);
  batch->exchange->message(response_headers(false).SerializeAsString());
  batch->exchange->message(response_body("data: x\n\n", false).SerializeAsString());
  batch->exchange->sending();
  const std::size_t so_far = batch->call.sent.size();
  const auto urgent = asks();
  answered(*urgent);
  EXPECT_TRUE(chosen(first(*urgent).request_headers().response()));
  ASSERT_THAT(batch->call.sent, SizeIs(so_far + 1));
  const auto end = first(*batch, so_far);
  expect_refused(end, 429, "request evicted by flow control", "evicted");
  EXPECT_EQ(end.immediate_response().body(), "request evicted by flow control");
  EXPECT_TRUE(batch->call.ended);
}

TEST_F(ExchangeFlowTest, EvictionIsTooLateForAnAnswerThatHasPassed) {
  start(", enableEviction: true");
  const auto batch = asks({{"x-llm-d-inference-objective", "batch"}});
  answered(*batch);
  batch->exchange->message(response_headers(false).SerializeAsString());
  const auto urgent = std::make_unique<Client>(loop_, shared());
  urgent->exchange->message(headers(false).SerializeAsString());
  urgent->exchange->message(body(kBody, true).SerializeAsString());
  batch->exchange->message(response_body("{}", true).SerializeAsString());
  batch->exchange->sending();
  const std::size_t whole = batch->call.sent.size();
  answered(*urgent);
  EXPECT_THAT(batch->call.sent, SizeIs(whole));
}

TEST_F(ExchangeFlowTest, OthersAreNotEvicted) {
  for (const bool enabled : {true, false}) {
    start(enabled ? ", enableEviction: true" : "");
    const auto running_one =
        enabled ? asks() : asks({{"x-llm-d-inference-objective", "batch"}});  // not sheddable, or not wanted
    answered(*running_one);
    const std::size_t so_far = running_one->call.sent.size();
    const auto next = asks();
    waits(*next);
    EXPECT_THAT(running_one->call.sent, SizeIs(so_far));
    next->leaves();
    run_until([&] { return json::int_at(picker().debug_state(), "flowControl.waiting") == 0; });
  }
}

}  // namespace
}  // namespace llmd::extproc
