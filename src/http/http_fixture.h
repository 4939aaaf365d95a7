// A server on a free port with a client beside it, or bytes chosen by the test instead of either. For tests.
#pragma once

#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "http/client.h"
#include "http/server.h"

namespace llmd::http {

inline Task<void> echo(Exchange& exchange) {
  const auto body = co_await read_all(exchange.body(), 64 << 20);
  if (body) {
    const std::string text = exchange.request().method + " " + exchange.request().target + " " + *body;
    co_await exchange.respond(200, "text/plain", text);
  }
}

// Server and client are on one loop.
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
    stream->set_deadline(async::Deadline::after(std::chrono::seconds(20)), "raw");
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

}  // namespace llmd::http
