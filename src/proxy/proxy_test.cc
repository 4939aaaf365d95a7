// Every way an upstream can fail, with and without streaming, over real sockets: each ends in its bound with
// the documented error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "async/event.h"
#include "async/scope.h"
#include "proxy/forwarding.h"
#include "proxy/relay.h"

namespace llmd::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

enum class Fault {
  Refuses,
  ResetsBeforeBytes,
  ResetsMidStream,
  FreezesBeforeBytes,
  FreezesMidStream,
  Garbage,
  ClosesEarly,
  NotReady
};

constexpr std::string_view kEventsHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kPlainHead =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";

constexpr std::string_view kNotReady =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n"
    R"({"error":{"message":"is loading"}})";

// An upstream that reads one request and then misbehaves.
class Upstream {
 public:
  Upstream(async::EventLoop& loop, Fault fault, bool stream)
      : fault_(fault), stream_(stream), listener_(net::Listener::open(loop, {"127.0.0.1", 0}, {}).value()) {
    address_ = listener_->address();
    if (fault == Fault::Refuses) {
      listener_->close();
    }
  }
  const net::Address& address() const { return address_; }
  int served() const { return served_; }

  Task<void> run() {
    while (true) {
      auto accepted = co_await listener_->accept();
      if (!accepted) {
        co_return;
      }
      ++served_;
      co_await misbehave(**accepted);
    }
  }

 private:
  Task<void> misbehave(net::Stream& client) {
    std::array<char, 4096> buffer;
    co_await client.read_some(buffer);
    const std::string_view head = stream_ ? kEventsHead : kPlainHead;
    const std::string_view part = stream_ ? "9\r\ndata: 1\n\n\r\n" : "half";
    const std::array<std::string_view, 2> begun{head, part};
    switch (fault_) {
      case Fault::Refuses:
      case Fault::ClosesEarly:
        break;  // an orderly end without an answer
      case Fault::ResetsBeforeBytes:
        break;  // the caller's bytes may be unread: see below
      case Fault::ResetsMidStream:
        co_await client.write(begun);
        co_await async::sleep(milliseconds(20));
        break;
      case Fault::FreezesBeforeBytes:
        co_await client.wait_for_hangup();
        break;
      case Fault::FreezesMidStream:
        co_await client.write(begun);
        co_await client.wait_for_hangup();
        break;
      case Fault::Garbage:
        co_await client.write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        break;
      case Fault::NotReady:
        co_await client.write(kNotReady);
        break;
    }
    if (fault_ == Fault::ClosesEarly) {
      co_await client.shutdown();
    }
    client.close();
  }

  Fault fault_;
  bool stream_;
  int served_ = 0;
  std::unique_ptr<net::Listener> listener_;
  net::Address address_;
};

class InOrder final : public Targets {
 public:
  explicit InOrder(std::vector<net::Address> addresses) : addresses_(std::move(addresses)) {}
  Task<Result<net::Address>> next() override {
    if (given_ == addresses_.size()) {
      co_return unavailable("no target is left");
    }
    co_return addresses_[given_++];
  }

 private:
  std::vector<net::Address> addresses_;
  std::size_t given_ = 0;
};

class Relays : public testing::Test {
 protected:
  Relays() {
    options_.connect = milliseconds(500);
    options_.first_byte = milliseconds(100);
    options_.idle = milliseconds(100);
    options_.attempts = 1;
  }
  void serve() {
    address_ = server_.listen({"127.0.0.1", 0}).value();
    scope_.spawn("proxy", server_.run());
  }
  net::Address upstream(Fault fault, bool stream) {
    upstreams_.push_back(std::make_unique<Upstream>(loop_, fault, stream));
    scope_.spawn("upstream", upstreams_.back()->run());
    return upstreams_.back()->address();
  }
  net::Address good_upstream(http::Handler handler) {
    good_.push_back(std::make_unique<http::Server>(loop_, http::ServerOptions{}, std::move(handler)));
    const auto address = good_.back()->listen({"127.0.0.1", 0}).value();
    scope_.spawn("good upstream", good_.back()->run());
    return address;
  }
  Result<http::Answer> ask(http::Headers headers = {}, std::string method = "POST") {
    http::ClientRequest request;
    request.address = address_;
    request.head = {std::move(method), "/v1/chat/completions", std::move(headers)};
    request.content = "{}";
    request.timeouts.total = async::Deadline::after(seconds(20));
    return loop_.block_on(http::fetch(client_, std::move(request)));
  }
  void TearDown() override {
    client_.close_idle();
    loop_.block_on(scope_.close());
  }
  Task<void> handle(http::Exchange& exchange) {
    const auto body = co_await http::read_all(exchange.body(), 1 << 20);
    InOrder targets(targets_);
    RelayRequest request;
    request.head = {exchange.request().method, exchange.request().target,
                    forwarded_request_headers(exchange.request().headers,
                                              {.client = exchange.peer(), .request_id = "made-here"})};
    request.body = *body;
    outcome_ = co_await relay(exchange, pool_, targets, std::move(request), options_);
    done_.set();
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  RelayOptions options_;
  std::vector<net::Address> targets_;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  std::vector<std::unique_ptr<http::Server>> good_;
  RelayOutcome outcome_;
  async::Event done_{loop_.executor()};
  http::ClientPool pool_{loop_};
  http::ClientPool client_{loop_};
  http::Server server_{
      loop_, {}, [this](http::Exchange& exchange) -> Task<void> { return handle(exchange); }};
  net::Address address_;
};

struct Cell {
  std::string_view name;
  Fault fault;
  bool stream;
  int status;                // 0: the answer is cut off
  std::string_view message;  // part of the body, or of the client's error
};

void PrintTo(const Cell& cell, std::ostream* out) {
  *out << cell.name;
}

class FaultTable : public Relays, public testing::WithParamInterface<Cell> {};

TEST_P(FaultTable, EndsWithItsError) {
  targets_ = {upstream(GetParam().fault, GetParam().stream)};
  serve();
  const auto answer = ask();
  if (GetParam().status == 0) {
    ASSERT_FALSE(answer) << answer->body;
    EXPECT_THAT(answer.error().message, HasSubstr(GetParam().message));
  } else {
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->status, GetParam().status);
    EXPECT_THAT(answer->body, HasSubstr(GetParam().message));
    EXPECT_THAT(answer->body, HasSubstr(R"({"error":{"message":)"));
  }
  if (GetParam().status == 200) {
    EXPECT_THAT(answer->body, StartsWith("data: 1\n\ndata: {\"error\""));
    EXPECT_THAT(answer->body, testing::EndsWith("data: [DONE]\n\n"));
  }
  loop_.block_on(done_.wait());
  EXPECT_FALSE(outcome_.complete);
}

INSTANTIATE_TEST_SUITE_P(
    Cells, FaultTable,
    testing::Values(
        Cell{"refuses", Fault::Refuses, false, 503, "connect to 127.0.0.1"},
        Cell{"refuses, stream", Fault::Refuses, true, 503, "connect to 127.0.0.1"},
        Cell{"resets before bytes", Fault::ResetsBeforeBytes, false, 503, "127.0.0.1"},
        Cell{"resets before bytes, stream", Fault::ResetsBeforeBytes, true, 503, "127.0.0.1"},
        Cell{"resets mid-stream", Fault::ResetsMidStream, false, 0, "ended before the body"},
        Cell{"resets mid-stream, stream", Fault::ResetsMidStream, true, 200, "ended before the body"},
        Cell{"freezes before bytes", Fault::FreezesBeforeBytes, false, 504, "response from 127.0.0.1"},
        Cell{"freezes before bytes, stream", Fault::FreezesBeforeBytes, true, 504, "response from"},
        Cell{"freezes mid-stream", Fault::FreezesMidStream, false, 0, "ended before the body"},
        Cell{"freezes mid-stream, stream", Fault::FreezesMidStream, true, 200, "response body from"},
        Cell{"garbage", Fault::Garbage, false, 502, "status line"},
        Cell{"garbage, stream", Fault::Garbage, true, 502, "status line"},
        Cell{"closes early", Fault::ClosesEarly, false, 503, "without an answer"},
        Cell{"closes early, stream", Fault::ClosesEarly, true, 503, "without an answer"}));

Task<void> say_hello(http::Exchange& exchange) {
  co_await http::read_all(exchange.body(), 1000);
  co_await exchange.respond(200, "text/plain", "hello");
}

class Retries : public Relays, public testing::WithParamInterface<Fault> {};

TEST_P(Retries, GoToTheNextTargetBeforeTheFirstByte) {
  options_.attempts = 3;
  targets_ = {upstream(GetParam(), false), good_upstream(say_hello)};
  serve();
  const auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "hello");
  loop_.block_on(done_.wait());
  EXPECT_EQ(outcome_.attempts, 2);
}

INSTANTIATE_TEST_SUITE_P(Faults, Retries,
                         testing::Values(Fault::Refuses, Fault::ResetsBeforeBytes, Fault::ClosesEarly,
                                         Fault::NotReady));

TEST_F(Relays, AnEngineThatIsNotReadySpeaksForItselfWhenThereIsNoOther) {
  options_.attempts = 2;
  targets_ = {upstream(Fault::NotReady, false)};
  serve();
  const auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("is loading"));
}

TEST_F(Relays, AStreamThatBreaksBeforeItsFirstEventIsRetried) {
  options_.attempts = 2;
  const auto breaks = good_upstream([](http::Exchange& exchange) -> Task<void> {
    co_await http::read_all(exchange.body(), 1000);
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
  });
  targets_ = {breaks, good_upstream(say_hello)};
  serve();
  EXPECT_EQ(ask().value().body, "hello");
}

TEST_F(Relays, EventsArriveOneByOne) {
  async::Event first_seen(loop_.executor());
  targets_ = {good_upstream([&](http::Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
    co_await exchange.write("data: 1\n\n");
    co_await first_seen.wait();
    co_await exchange.write("data: 2\n\n");
    co_await exchange.finish();
  })};
  serve();
  http::ClientRequest request;
  request.address = address_;
  const auto response = loop_.block_on(client_.send(std::move(request))).value();
  EXPECT_EQ(loop_.block_on(response->body().next()), "data: 1\n\n");
  first_seen.set();
  EXPECT_EQ(loop_.block_on(response->body().next()), "data: 2\n\n");
  EXPECT_EQ(loop_.block_on(response->body().next()), "");
}

// So many that the relay lets them gather before it reads on.
TEST_F(Relays, AStreamOfManySmallPiecesArrivesWhole) {
  constexpr int kPieces = 20'000;
  targets_ = {good_upstream([&](http::Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
    for (int i = 0; i < kPieces; ++i) {
      co_await exchange.write(fmt::format("data: {}\n\n", i));
    }
    co_await exchange.finish();
  })};
  serve();
  const auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().text();
  std::string expected;
  for (int i = 0; i < kPieces; ++i) {
    expected += fmt::format("data: {}\n\n", i);
  }
  EXPECT_EQ(answer->body, expected);
  EXPECT_TRUE(outcome_.complete);
}

TEST_F(Relays, AClientThatLeavesEndsTheUpstreamRequest) {
  options_.first_byte = seconds(1000);
  async::Event arrived(loop_.executor());
  async::Event cancelled_upstream(loop_.executor());
  targets_ = {good_upstream([&](http::Exchange& exchange) -> Task<void> {
    co_await http::read_all(exchange.body(), 1000);
    arrived.set();
    co_await exchange.client_gone();
    cancelled_upstream.set();
  })};
  serve();
  auto stream = loop_.block_on(net::dial(address_, {})).value();
  const std::string_view bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
  ASSERT_TRUE(loop_.block_on(stream->write(bytes)));
  loop_.block_on(arrived.wait());
  stream.reset();
  EXPECT_TRUE(loop_.block_on(cancelled_upstream.wait_until(async::Deadline::after(seconds(20)))));
  loop_.block_on(done_.wait());
  EXPECT_EQ(outcome_.status, 499);
}

TEST_F(Relays, HeadAnswersKeepTheirLength) {
  targets_ = {good_upstream(
      [](http::Exchange& exchange) -> Task<void> { co_await exchange.respond(200, "text/plain", "12345"); })};
  serve();
  const auto answer = ask({}, "HEAD");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->headers.find("content-length"), "5");
  EXPECT_EQ(answer->body, "");
}

TEST_F(Relays, StatusAndHeadersOfTheUpstreamArrive) {
  targets_ = {good_upstream([](http::Exchange& exchange) -> Task<void> {
    co_await exchange.respond({429, {{"Retry-After", "3"}, {"Content-Type", "a/b"}}}, "slow down");
  })};
  serve();
  const auto answer = ask();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(answer->headers.find("retry-after"), "3");
  EXPECT_EQ(answer->body, "slow down");
}

std::string text_of(const http::Headers& headers) {
  std::string text;
  for (const auto& [name, value] : headers) {
    text += name + ": " + value + "\n";
  }
  return text;
}

TEST(ForwardingTest, DropsWhatBelongsToOneHopAndAddsWhereItCameFrom) {
  const http::Headers arrived{{"Host", "a.example"},
                              {"Connection", "close, X-Private"},
                              {"X-Private", "1"},
                              {"Keep-Alive", "timeout=5"},
                              {"Te", "trailers"},
                              {"Upgrade", "h2c"},
                              {"Content-Length", "3"},
                              {"Expect", "100-continue"},
                              {"Authorization", "Bearer x"},
                              {"X-Forwarded-For", "1.1.1.1"}};
  EXPECT_EQ(
      text_of(forwarded_request_headers(arrived, {.client = {"2.2.2.2", 5}, .request_id = "id"})),
      "Host: a.example\nAuthorization: Bearer x\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\nX-Forwarded-Proto: http\n"
      "X-Forwarded-Host: a.example\nX-Request-Id: id\n");
}

TEST(ForwardingTest, KeepsTheRequestIdOfTheClient) {
  const auto headers = forwarded_request_headers({{"x-request-id", "mine"}}, {.request_id = "other"});
  EXPECT_EQ(headers.find("X-Request-Id"), "mine");
  EXPECT_NE(make_request_id(), make_request_id());
  EXPECT_EQ(make_request_id().size(), 32U);
}

}  // namespace
}  // namespace llmd::proxy
