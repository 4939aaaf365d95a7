// Server and client against each other over real sockets.
#include <gtest/gtest.h>

#include "async/scope.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::http {
namespace {

// A server on a free port with a client beside it, both on one loop.
class HttpExchange : public testing::Test {
 protected:
  void serve(Handler handler, ServerOptions options = {}) {
    server_ = std::make_unique<Server>(loop_, std::move(options), std::move(handler));
    address_ = server_->listen({"127.0.0.1", 0}).value();
    scope_.spawn("server", server_->run());
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
  void TearDown() override {
    pool_.close_idle();
    loop_.block_on(scope_.close());
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  std::unique_ptr<Server> server_;
  net::Address address_;
  ClientPool pool_{loop_};
};

Task<void> echo(Exchange& exchange) {
  const auto body = co_await read_all(exchange.body(), 64 << 20);
  if (body) {
    co_await exchange.respond(200, "text/plain", *body);
  }
}

TEST_F(HttpExchange, AnswersARequestWithItsBody) {
  serve(echo);
  const auto answer = ask(request("POST", "/", "hello"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
}

TEST_F(HttpExchange, KeepsTheConnectionForTheNextRequest) {
  serve(echo);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(ask(request("POST", "/", "again")));
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(HttpExchange, StreamsAChunkedAnswer) {
  serve([](Exchange& exchange) -> Task<void> {
    co_await exchange.start({200, {{"Content-Type", "text/event-stream"}}});
    for (int i = 0; i < 3; ++i) {
      co_await exchange.write("data: x\n\n");
    }
    co_await exchange.finish();
  });
  const auto answer = ask(request("GET", "/"));
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "data: x\n\ndata: x\n\ndata: x\n\n");
}

}  // namespace
}  // namespace llmd::http
