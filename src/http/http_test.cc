// Server and client against each other, and each against a peer that sends chosen bytes, over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "base/log.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Task<void> echo(Exchange& exchange) {
  const auto body = co_await read_all(exchange.body(), 64 << 20);
  if (body) {
    const std::string text = exchange.request().method + " " + exchange.request().target + " " + *body;
    co_await exchange.respond(200, "text/plain", text);
  }
}

// A server on a free port with a client beside it, both on one loop.
class Http : public testing::Test {
 protected:
  void serve(Handler handler, ServerOptions options = {}) {
    server_ = std::make_unique<Server>(loop_, std::move(options), std::move(handler));
    address_ = server_->listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_->run());
  }
  // An upstream that reads up to the end of a head, sends exactly these bytes, and closes when asked.
  void answer_with(std::string bytes, bool close = true) {
    listener_ = net::Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
    address_ = listener_->address();
    scope_.spawn("raw server", send_raw(std::move(bytes), close));
  }
  ClientRequest request(std::string method, std::string target, std::string_view content = {}) {
    ClientRequest made;
    made.address = address_;
    made.head.method = std::move(method);
    made.head.target = std::move(target);
    made.content = content;
    return made;
  }
  Result<Answer> ask(ClientRequest made) { return loop_.block_on(fetch(pool_, std::move(made))); }
  // Sends bytes and returns everything up to the close of the connection.
  std::string raw(std::string_view bytes) { return loop_.block_on(raw_exchange(bytes)); }
  void TearDown() override {
    pool_.close_idle();
    loop_.block_on(scope_.close());
  }

  Task<std::string> raw_exchange(std::string_view bytes) {
    const auto stream = (co_await net::dial(address_, {})).value();
    stream->set_deadline(async::Deadline::after(seconds(20)), "raw");
    co_await stream->write(bytes);
    std::string all;
    std::array<char, 4096> buffer;
    while (true) {
      const auto size = co_await stream->read_some(buffer);
      if (!size || *size == 0) {
        co_return all + (size ? "" : "<" + size.error().message + ">");
      }
      all.append(buffer.data(), *size);
    }
  }
  Task<void> send_raw(std::string bytes, bool close) {
    while (true) {
      auto accepted = co_await listener_->accept();
      if (!accepted) {
        co_return;
      }
      const auto stream = std::move(*accepted);
      std::array<char, 4096> buffer;
      co_await stream->read_some(buffer);
      co_await stream->write(bytes);
      if (!close) {
        co_await stream->wait_for_hangup();
      }
    }
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<net::Listener> listener_;
  net::Address address_;
  ClientPool pool_{loop_};
};

using HttpServer = Http;
using HttpClient = Http;

TEST_F(Http, AnswersARequestWithItsBody) {
  serve(echo);
  const auto answer = ask(request("POST", "/a?b=c", "hello"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST /a?b=c hello");
  EXPECT_EQ(answer->headers.find("content-type"), "text/plain");
}

TEST_F(Http, KeepsTheConnectionForTheNextRequest) {
  serve(echo);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ask(request("POST", "/", "again")));
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, CarriesABodyOfManyMegabytesBothWays) {
  serve(echo);
  const std::string big(20 << 20, 'x');
  const auto answer = loop_.block_on(fetch(pool_, request("POST", "/", big), 64 << 20));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "POST / " + big);
}

TEST_F(Http, StreamsAChunkedAnswer) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}}, "data: 0\n\n");
    co_await exchange.write("data: 1\n\n");
    co_await exchange.write("");
    co_await exchange.finish("data: 2\n\n");
  });
  const auto answer = ask(request("GET", "/"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  EXPECT_TRUE(ask(request("GET", "/")));
  EXPECT_EQ(server_->connections(), 1U);
}

// Answers with the body, of which it has only noted where it begins and how long it is.
Task<void> echo_kept(Exchange& exchange) {
  std::string_view kept;
  const bool keeps = exchange.body().keep();
  while (keeps) {
    const auto piece = co_await exchange.body().next();
    if (!piece || piece->empty()) {
      break;
    }
    kept = kept.empty() ? *piece : std::string_view(kept.data(), kept.size() + piece->size());
  }
  co_await exchange.respond(200, "text/plain", keeps ? kept : "cannot keep it");
}

TEST_F(Http, KeepsABodyWhereItArrived) {
  serve(echo_kept);
  for (const std::size_t size : {0, 1, 5000, 3 << 20, 100}) {
    std::string content;
    while (content.size() < size) {
      content += std::to_string(content.size()) + " ";
    }
    const auto answer = ask(request("POST", "/", content));
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->body, content);
  }
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother"),
              AllOf(HasSubstr("\r\n\r\noneHTTP/1.1"), testing::EndsWith("other")));
  EXPECT_THAT(raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                  "1\r\nx\r\n0\r\n\r\n"),
              testing::EndsWith("cannot keep it"));
}

// Gives `pieces` as they are asked for.
class PieceByPiece : public BodyReader {
 public:
  explicit PieceByPiece(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  Task<Result<std::string_view>> next() override {
    if (given_ == pieces_.size()) {
      co_return std::string_view();
    }
    co_await async::sleep(milliseconds(1));
    co_return pieces_[given_++];
  }
  std::optional<std::uint64_t> length() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
  std::size_t given_ = 0;
};

TEST_F(Http, StreamsARequestBodyAsItArrives) {
  serve(echo);
  PieceByPiece body({"one ", "two ", "three"});
  auto streaming = request("POST", "/");
  streaming.stream = &body;
  const auto answer = ask(std::move(streaming));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "POST / one two three");
}

TEST_F(Http, AnEarlyAnswerEndsTheStreamingOfARequest) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(403, "text/plain", "no"); });
  PieceByPiece body(std::vector<std::string>(100000, std::string(1000, 'x')));
  auto streaming = request("POST", "/");
  streaming.stream = &body;
  const auto answer = ask(std::move(streaming));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 403);
}

// --- the server against chosen bytes

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

// --- the client against chosen bytes

struct RawAnswer {
  std::string_view name;
  std::string_view bytes;
  std::string_view body;  // or the start of the error in <>
};

void PrintTo(const RawAnswer& answer, std::ostream* out) {
  *out << answer.name;
}

class ClientReads : public Http, public testing::WithParamInterface<RawAnswer> {};

TEST_P(ClientReads, Answers) {
  answer_with(std::string(GetParam().bytes));
  const auto answer = ask(request("GET", "/"));
  const std::string seen = answer ? answer->body : "<" + std::string(to_string(answer.error().kind));
  EXPECT_EQ(seen, GetParam().body) << (answer ? "" : answer.error().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ClientReads,
    testing::Values(
        RawAnswer{"counted", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"},
        RawAnswer{"chunked",
                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
                  "abcd"},
        RawAnswer{"until the close", "HTTP/1.1 200 OK\r\n\r\nabc", "abc"},
        RawAnswer{"after informational heads",
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 "
                  "OK\r\nContent-Length: 1\r\n\r\na",
                  "a"},
        RawAnswer{"no content", "HTTP/1.1 204 No Content\r\n\r\nrubbish", ""},
        RawAnswer{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", ""},
        RawAnswer{"too short", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "<unavailable"},
        RawAnswer{"chunks cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                  "<unavailable"},
        RawAnswer{"head cut off", "HTTP/1.1 200 OK\r\nConte", "<unavailable"},
        RawAnswer{"nothing", "", "<unavailable"},
        RawAnswer{
            "both lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "<data loss"},
        RawAnswer{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "<data loss"},
        RawAnswer{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                  "<data loss"}));

TEST_F(HttpClient, ReadsNoBodyAfterHead) {
  answer_with("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false);
  EXPECT_EQ(ask(request("HEAD", "/")).value().body, "");
}

TEST_F(HttpClient, NamesWhoItWaitedFor) {
  answer_with("", false);
  auto impatient = request("GET", "/");
  impatient.timeouts.first_byte = milliseconds(10);
  const auto answer = ask(std::move(impatient));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(answer.error().message, HasSubstr("response from " + address_.to_string()));
}

TEST_F(HttpClient, BoundsTheSilenceWithinABody) {
  answer_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", false);
  auto impatient = request("GET", "/");
  impatient.timeouts.idle = milliseconds(10);
  const auto answer = ask(std::move(impatient));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(answer.error().message, HasSubstr("response body from"));
}

TEST_F(HttpClient, ReplacesAPooledConnectionThatTheServerClosed) {
  // Each connection serves one request and closes without saying so.
  answer_with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  for (int i = 0; i < 3; ++i) {
    const auto answer = ask(request("POST", "/", "x"));
    ASSERT_TRUE(answer) << answer.error().text();
  }
}

TEST_F(HttpClient, ClosesTheConnectionOfAResponseThatIsDropped) {
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {}}, "first");
    co_await exchange.client_gone();
    noticed.set();
  });
  auto response = loop_.block_on(pool_.send(request("GET", "/"))).value();
  EXPECT_EQ(loop_.block_on(response->body().next()), "first");
  response.reset();
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpClient, ClosesTheConnectionOfARequestThatIsCancelled) {
  async::Event arrived(loop_.executor());
  async::Event noticed(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    arrived.set();
    co_await exchange.client_gone();
    noticed.set();
  });
  auto client = [&]() -> Task<void> { co_await fetch(pool_, request("GET", "/")); };
  async::Scope scope(loop_);
  scope.spawn("client", client());
  loop_.block_on(arrived.wait());
  loop_.block_on(scope.close());
  EXPECT_TRUE(loop_.block_on(noticed.wait_until(async::Deadline::after(seconds(20)))));
}

TEST_F(HttpClient, SaysWhereItCouldNotConnect) {
  answer_with("");
  listener_->close();
  const auto answer = ask(request("GET", "/"));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(answer.error().message, HasSubstr(address_.to_string()));
}

TEST_F(HttpClient, GivesAnswersWithErrorStatusAsAnswers) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(404, "text/plain", "no"); });
  const auto answer = ask(request("GET", "/"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
}

TEST_F(HttpClient, LimitsWhatFetchCollects) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.respond(200, "text/plain", "0123456789"); });
  const auto answer = loop_.block_on(fetch(pool_, request("GET", "/"), 9));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::ResourceExhausted);
}

// --- heads

TEST(MessageTest, HeadersIgnoreCaseAndKeepSpelling) {
  Headers headers{{"Content-Type", "a"}, {"X", "1"}};
  EXPECT_EQ(headers.find("content-type"), "a");
  headers.set("content-type", "b");
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.find("Content-Type"), "b");
  headers.add("Connection", "Keep-Alive, Upgrade");
  EXPECT_TRUE(headers.lists("connection", "upgrade"));
  EXPECT_FALSE(headers.lists("connection", "up"));
}

TEST(MessageTest, TargetsAreTakenApart) {
  const RequestHead head{"GET", "/a/b?x=1%202&y&z=%3D", {}};
  EXPECT_EQ(head.path(), "/a/b");
  EXPECT_EQ(head.query(), "x=1%202&y&z=%3D");
  EXPECT_EQ(head.query_parameter("x"), "1 2");
  EXPECT_EQ(head.query_parameter("y"), "");
  EXPECT_EQ(head.query_parameter("z"), "=");
  EXPECT_EQ(head.query_parameter("none"), std::nullopt);
  EXPECT_EQ(percent_encode("a b/ü"), "a%20b%2F%C3%BC");
}

}  // namespace
}  // namespace llmd::http
