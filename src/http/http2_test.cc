// HTTP/2 over real sockets: the same server and handlers as HTTP/1.1, and peers that misbehave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "crypto/certificate.h"
#include "http/http2_client.h"
#include "http/http2_session.h"
#include "http/server.h"
#include "net/tls_options.h"

namespace llmd::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// Adds what a session wants to send. False: nothing.
bool collect(Http2Session& session, std::string& bytes) {
  Http2Batch batch;
  const bool some = session.collect(batch, 1 << 20);
  for (const std::string_view piece : batch.pieces()) {
    bytes += piece;
  }
  return some;
}

class Http2 : public testing::Test {
 public:
  void serve(Handler handler, ServerOptions options = {}) {
    server_ = std::make_unique<Server>(loop_, std::move(options), std::move(handler));
    address_ = server_->listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_->run());
  }
  void connect(Http2ClientOptions options = {}) {
    client_ = loop_.block_on(Http2Client::connect(scope_, address_, std::move(options))).value();
  }
  ClientRequest request(std::string method, std::string target, std::string_view content = {}) {
    ClientRequest made;
    made.head.method = std::move(method);
    made.head.target = std::move(target);
    made.content = content;
    return made;
  }
  Task<Result<Answer>> send(ClientRequest made) {
    LLMD_CO_TRY(const auto response, co_await client_->send(std::move(made)));
    LLMD_CO_TRY(std::string body, co_await read_all(response->body(), 64 << 20));
    co_return Answer{response->status(), response->head().headers, std::move(body)};
  }
  Result<Answer> ask(ClientRequest made) { return loop_.block_on(send(std::move(made))); }
  void TearDown() override {
    client_.reset();
    loop_.block_on(scope_.close());
  }

  // Sends what `misbehave` makes a client's session say; true when the server ended the connection.
  bool is_cut_off(std::function<void(Http2Session&)> misbehave) {
    Http2Session session(Http2Session::Side::Client, {});
    misbehave(session);
    std::string bytes;
    while (collect(session, bytes)) {
    }
    return loop_.block_on(is_cut_off_after(bytes));
  }
  Task<bool> is_cut_off_after(std::string bytes) {
    const auto stream = (co_await net::dial(address_, {})).value();
    stream->set_deadline(async::Deadline::after(seconds(20)), "the server closing");
    std::array<char, 4096> buffer;
    const auto written = co_await stream->write(bytes);
    while (written) {
      const auto size = co_await stream->read_some(buffer);
      if (!size) {
        co_return size.error().kind != ErrorKind::DeadlineExceeded;
      }
      if (*size == 0) {
        co_return true;
      }
    }
    co_return true;
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Http2Client> client_;
  net::Address address_;
};

Task<void> echo(Exchange& exchange) {
  const auto body = co_await read_all(exchange.body(), 64 << 20);
  if (body) {
    const RequestHead& head = exchange.request();
    co_await exchange.respond(200, "text/plain", head.method + " " + head.target + " " + *body);
  }
}

// The body as it comes, in pieces.
Task<void> relay(Exchange& exchange) {
  co_await exchange.start({200, {{"Content-Type", "text/plain"}}});
  while (true) {
    const auto piece = co_await exchange.body().next();
    if (!piece || piece->empty()) {
      break;
    }
    co_await exchange.write(*piece);
  }
  co_await exchange.finish();
}

TEST_F(Http2, OneHandlerServesBothVersionsOnOnePort) {
  serve(echo);
  connect();
  const auto second = ask(request("POST", "/v1/x?y=1", "hello"));
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_EQ(second->status, 200);
  EXPECT_EQ(second->body, "POST /v1/x?y=1 hello");
  EXPECT_EQ(second->headers.find("content-type"), "text/plain");
  EXPECT_EQ(second->headers.find("content-length"), "20");
  ClientPool pool(loop_);
  auto made = request("POST", "/v1/x?y=1", "hello");
  made.address = address_;
  const auto first = loop_.block_on(fetch(pool, std::move(made)));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, second->body);
  pool.close_idle();
}

TEST_F(Http2, TheHostIsTheAuthority) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.respond(200, "text/plain",
                              std::string(exchange.request().headers.find("host").value_or("")));
  });
  connect();
  auto made = request("GET", "/");
  made.head.headers.add("Host", "llm.example.com");
  EXPECT_EQ(ask(std::move(made))->body, "llm.example.com");
}

TEST_F(Http2, LargeBodiesPassInBothDirectionsThroughSmallWindows) {
  serve(relay);
  connect();
  std::string body(3 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1000) {
    body[i] = static_cast<char>('a' + i / 1000 % 26);
  }
  // Sending and receiving at the same time, as the answer begins before the request has ended.
  struct Source final : BodyReader {
    explicit Source(std::string_view all) : rest(all) {}
    Task<Result<std::string_view>> next() override {
      const std::string_view piece = rest.substr(0, 60'000);
      rest.remove_prefix(piece.size());
      co_return piece;
    }
    std::optional<std::uint64_t> length() const override { return std::nullopt; }
    std::string_view rest;
  } source(std::string_view(body).substr(0, 200'000));
  auto made = request("POST", "/");
  made.stream = &source;
  EXPECT_EQ(ask(std::move(made))->body, body.substr(0, 200'000));
  server_ = nullptr;
  serve(echo);
  connect();
  EXPECT_EQ(ask(request("POST", "/", body))->body, "POST / " + body);
}

TEST_F(Http2, ManyRequestsShareOneConnection) {
  async::Event release(loop_.executor());
  int waiting = 0;
  serve([&](Exchange& exchange) -> Task<void> {
    if (++waiting == 100) {
      release.set();
    }
    co_await release.wait();
    co_await exchange.respond(200, "text/plain", exchange.request().target);
  });
  connect();
  std::vector<std::string> answers(100);
  async::Scope clients(loop_);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    clients.spawn("client", [](Http2& test, std::size_t number, std::string& out) -> Task<void> {
      out = (co_await test.send(test.request("GET", "/" + std::to_string(number))))->body;
    }(*this, i, answers[i]));
  }
  loop_.block_on(clients.join());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i], "/" + std::to_string(i));
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http2, AHandlerLearnsThatItsClientHasLeft) {
  async::Event began(loop_.executor());
  async::Event left(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {}}, "first");
    began.set();
    co_await exchange.client_gone();
    left.set();
  });
  connect();
  loop_.block_on([](Http2& test, async::Event& started) -> Task<void> {
    const auto response = (co_await test.client_->send(test.request("GET", "/"))).value();
    co_await started.wait();
  }(*this, began));
  loop_.block_on(left.wait());
  EXPECT_TRUE(client_->usable()) << "only the stream was reset";
}

TEST_F(Http2, WhatIsTooLargeIsRefusedWithItsStatus) {
  serve(echo, {.max_header_bytes = 8192, .max_body_bytes = 1000});
  connect();
  EXPECT_EQ(ask(request("POST", "/", std::string(1001, 'x')))->status, 413);
  auto made = request("GET", "/");
  made.head.headers.add("x-long", std::string(10'000, 'y'));
  EXPECT_EQ(ask(std::move(made))->status, 431);
  EXPECT_EQ(ask(request("POST", "/", "fits"))->status, 200) << "the connection goes on";
}

TEST_F(Http2, AHandlerThatAnswersNothingOrThrowsYields500) {
  serve([](Exchange& exchange) -> Task<void> {
    if (exchange.request().target == "/throw") {
      throw std::runtime_error("on purpose");
    }
    co_return;
  });
  connect();
  EXPECT_EQ(ask(request("GET", "/"))->status, 500);
  EXPECT_EQ(ask(request("GET", "/throw"))->status, 500);
}

TEST_F(Http2, AStreamThatBreaksOffIsResetAndNotEnded) {
  serve([](Exchange& exchange) -> Task<void> { co_await exchange.start({200, {}}, "half of "); });
  connect();
  EXPECT_FALSE(ask(request("GET", "/"))) << "half an answer must not look like a whole one";
}

TEST_F(Http2, DrainLetsRunningRequestsFinishAndTakesNoMore) {
  async::Event began(loop_.executor());
  async::Event release(loop_.executor());
  serve([&](Exchange& exchange) -> Task<void> {
    began.set();
    co_await release.wait();
    co_await exchange.respond(200, "text/plain", "done");
  });
  connect();
  std::string answer;
  scope_.spawn("client", [](Http2& test, std::string& out) -> Task<void> {
    out = (co_await test.send(test.request("GET", "/")))->body;
  }(*this, answer));
  loop_.block_on(began.wait());
  async::Scope draining(loop_);
  draining.spawn("drain", server_->drain(async::Deadline::after(seconds(30))));
  loop_.block_on([](Http2& test) -> Task<void> {
    while (test.client_->usable()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
  }(*this));
  EXPECT_FALSE(ask(request("GET", "/late")));
  release.set();
  loop_.block_on(draining.join());
  EXPECT_EQ(answer, "done");
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Http2, OverTlsItIsAgreedOnByAlpn) {
  const auto made = crypto::make_self_signed_certificate({}, system_clock().wall_now()).value();
  serve(echo, {.tls = net::tls_server_from_pem(made.certificate_pem, made.key_pem).value()});
  connect({.tls = net::make_tls_client({.ca_pem = made.certificate_pem, .http2 = true}).value()});
  EXPECT_EQ(ask(request("POST", "/", "secret"))->body, "POST / secret");
}

TEST_F(Http2, FloodsEndTheConnection) {
  serve(echo);
  EXPECT_TRUE(is_cut_off([](Http2Session& session) {
    for (int i = 0; i < 50'000; ++i) {
      session.ping();
    }
  })) << "PING";
}

TEST_F(Http2, RapidResetsEndTheConnection) {
  serve(echo);
  struct Ignore final : StreamHandler {
    void on_data(std::string_view) override {}
    void on_end() override {}
    void on_closed(bool) override {}
  };
  std::string bytes;
  Http2Session session(Http2Session::Side::Client, {});
  for (int i = 0; i < 3000; ++i) {
    Http2Stream* stream = session.open({}, "http", std::make_shared<Ignore>(), false);
    if (stream == nullptr) {
      break;
    }
    collect(session, bytes);
    stream->reset(Http2Error::Cancel);
    collect(session, bytes);
  }
  EXPECT_TRUE(loop_.block_on(is_cut_off_after(bytes)));
}

TEST_F(Http2, WhatFollowsThePrefaceMustBeHttp2) {
  serve(echo);
  EXPECT_TRUE(
      loop_.block_on(is_cut_off_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")));
}

TEST_F(Http2, MorePeersThanStreamsWaitTheirTurn) {
  Http2Session server(Http2Session::Side::Server, {.max_streams = 2});
  Http2Session client(Http2Session::Side::Client, {});
  const auto exchange = [&] {
    std::string bytes;
    collect(client, bytes);
    ASSERT_TRUE(server.feed(bytes));
    bytes.clear();
    collect(server, bytes);
    ASSERT_TRUE(client.feed(bytes));
  };
  exchange();
  exchange();
  EXPECT_TRUE(client.can_open());
  client.open({}, "http", nullptr, false);
  client.open({}, "http", nullptr, false);
  EXPECT_FALSE(client.can_open()) << "the server said two";
}

}  // namespace
}  // namespace llmd::http
