// The server against a peer that sends chosen bytes, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "http/http_fixture.h"

namespace llmd::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using HttpServer = Http;

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  serve(echo);
  const std::string seen =
      raw("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
          "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const auto first = seen.find("GET /1 ");
  const auto second = seen.find("POST /2 xy");
  const auto third = seen.find("GET /3 ");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
}

TEST_F(HttpServer, AsksForTheBodyOnlyWhenTheHandlerReadsIt) {
  serve(echo);
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nExpect: "
                  "100-continue\r\n\r\nhi"),
              StartsWith("HTTP/1.1 200"));  // it came anyway
  const auto stream = loop_.block_on(net::dial(address_, {})).value();
  const std::string_view head =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  ASSERT_TRUE(loop_.block_on(stream->write(head)));
  std::array<char, 1000> buffer;
  const auto size = loop_.block_on(stream->read_some(buffer)).value();
  EXPECT_EQ(std::string_view(buffer.data(), size), "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_F(HttpServer, AnswersHeadWithoutABody) {
  serve(echo);
  const std::string seen = raw("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(seen, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_THAT(seen, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServer, ServesHttp10ByClosing) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {}});
    co_await exchange.write("plain ");
    co_await exchange.finish("bytes");
  });
  const std::string seen = raw("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(seen, Not(HasSubstr("chunked")));
  EXPECT_THAT(seen, testing::EndsWith("\r\n\r\nplain bytes"));
}

TEST_F(HttpServer, RefusesAMalformedRequestAndCloses) {
  serve(echo);
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
              StartsWith("HTTP/1.1 400 Bad Request\r\n"));
}

TEST_F(HttpServer, LimitsTheHeadAndTheBody) {
  serve(echo, {.max_header_bytes = 1000, .max_body_bytes = 10});
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(5000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(
      raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"),
      StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServer, BoundsClientsThatAreSlow) {
  serve(echo, {.header_timeout = milliseconds(20),
               .idle_timeout = milliseconds(20),
               .body_idle_timeout = milliseconds(20)});
  EXPECT_EQ(raw(""), "");
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nHo"), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"), StartsWith("HTTP/1.1 408 "));
}

TEST_F(HttpServer, BoundsAClientThatReadsNothing) {
  async::Event failed(loop_.executor());
  serve(
      [&](Exchange& exchange) -> Task<void> {
        co_await exchange.start({200, {}});
        const std::string piece(1 << 20, 'x');
        while (co_await exchange.write(piece)) {
        }
        failed.set();
      },
      {.write_timeout = milliseconds(50)});
  const auto stream = loop_.block_on(net::dial(address_, {})).value();
  const std::string_view head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_TRUE(loop_.block_on(stream->write(head)));
  EXPECT_TRUE(loop_.block_on(failed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpServer, CutsAnAnswerOffVisiblyWhenTheHandlerStops) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {}});
    co_await exchange.write("half");
  });
  const auto answer = ask(request("GET", "/"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::Unavailable);
}

TEST_F(HttpServer, GivesA500ForAHandlerThatDoesNotAnswerOrThrows) {
  log::configure(log::Level::Off);
  serve([](Exchange& exchange) -> Task<void> {
    if (exchange.request().path() == "/throw") {
      throw std::runtime_error("surprise");
    }
    co_return;
  });
  EXPECT_EQ(ask(request("GET", "/")).value().status, 500);
  EXPECT_EQ(ask(request("GET", "/throw")).value().status, 500);
  log::configure(log::Level::Info);
}

TEST_F(HttpServer, NoticesAClientThatLeaves) {
  async::Event arrived(loop_.executor());
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await exchange.client_gone();
    noticed.set();
  });
  auto stream = loop_.block_on(net::dial(address_, {})).value();
  const std::string_view head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_TRUE(loop_.block_on(stream->write(head)));
  loop_.block_on(arrived.wait());
  stream.reset();
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpServer, TellsARelayWhenItsClientLeaves) {
  async::Event arrived(loop_.executor());
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    co_await read_all(exchange.body(), 100);
    exchange.on_client_gone([&] { noticed.set(); });
    arrived.set();
    co_await noticed.wait();
  });
  auto stream = loop_.block_on(net::dial(address_, {})).value();
  const std::string_view head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy";
  ASSERT_TRUE(loop_.block_on(stream->write(head)));
  loop_.block_on(arrived.wait());
  stream.reset();
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpServer, ReadsTheNextRequestWhileItWatchesTheClient) {
  serve([&](Exchange& exchange) -> Task<void> {
    exchange.on_client_gone([] {});
    co_await async::sleep(milliseconds(2));
    co_await exchange.respond(200, "text/plain", exchange.request().target);
  });
  const std::string seen =
      raw("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
          "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(seen, testing::ContainsRegex("/1(.|\n)*/2(.|\n)*/3"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(ask(request("GET", "/again")));
  }
}

TEST_F(HttpServer, WatchesTheClientAfterALargeBody) {
  // The read that watches must not go into a buffer that was given back after the large body.
  serve([&](Exchange& exchange) -> Task<void> {
    const auto body = co_await read_all(exchange.body(), 1 << 20);
    exchange.on_client_gone([] {});
    co_await exchange.respond(200, "text/plain", std::to_string(body->size()));
  });
  const std::string big(300000, 'x');
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(request("POST", "/", big)).value().body, "300000");
    EXPECT_EQ(ask(request("POST", "/", "x")).value().body, "1");
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(HttpServer, DrainsWithoutLosingARequest) {
  async::Event arrived(loop_.executor());
  async::Event go_on(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await go_on.wait();
    co_await exchange.respond(200, "text/plain", "done");
  });
  Result<Answer> answer = internal_error("none");
  auto client = [&]() -> Task<void> { answer = co_await fetch(pool_, request("GET", "/")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(arrived.wait());
  scope.spawn("drain", server_->drain(async::Deadline::after(seconds(20))));
  loop_.block_on(async::sleep(milliseconds(1)));
  EXPECT_FALSE(loop_.block_on(net::dial(address_, {})));
  go_on.set();
  loop_.block_on(scope.join());
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->headers.find("Connection"), "close");
}

TEST_F(HttpServer, DrainCancelsWhatOutlivesTheDeadline) {
  async::Event never(loop_.executor());
  async::Event arrived(loop_.executor());
  serve([&](Exchange&) -> Task<void> {
    arrived.set();
    co_await never.wait();
  });
  auto client = [&]() -> Task<void> { co_await fetch(pool_, request("GET", "/")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(arrived.wait());
  loop_.block_on(server_->drain(async::Deadline::after(milliseconds(5))));
  loop_.block_on(scope.join());
}

TEST_F(HttpServer, HandsTheConnectionOverAfter101) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({101, {{"Upgrade", "shout"}}});
    const auto stream = exchange.upgrade();
    std::array<char, 100> buffer;
    const auto size = co_await stream->read_some(buffer);
    std::string loud(buffer.data(), *size);
    for (char& c : loud) {
      c = static_cast<char>(std::toupper(c));
    }
    co_await stream->write(loud);
  });
  auto upgrade = request("GET", "/");
  upgrade.head.headers = {{"Upgrade", "shout"}};
  const auto response = loop_.block_on(pool_.send(std::move(upgrade))).value();
  ASSERT_EQ(response->status(), 101);
  const auto stream = response->upgrade();
  const std::string_view hello = "hello";
  ASSERT_TRUE(loop_.block_on(stream->write(hello)));
  std::array<char, 100> buffer;
  const auto size = loop_.block_on(stream->read_some(buffer)).value();
  EXPECT_EQ(std::string_view(buffer.data(), size), "HELLO");
}

TEST_F(HttpServer, MoreConnectionsThanTheLimitWait) {
  serve(echo, {.max_connections = 1});
  auto first = loop_.block_on(net::dial(address_, {})).value();
  loop_.block_on(async::sleep(milliseconds(5)));
  auto second = request("GET", "/");
  second.timeouts.first_byte = milliseconds(20);
  EXPECT_EQ(ask(second).error().kind, ErrorKind::DeadlineExceeded);
  first.reset();
  EXPECT_TRUE(ask(request("GET", "/")));
}

}  // namespace
}  // namespace llmd::http
