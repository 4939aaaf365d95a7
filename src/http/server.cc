#include "http/server.h"

#include "http/acceptor.h"
#include "http/http2_exchange.h"
#include "http/server_connection.h"

namespace llmd::http {

struct Server::State {
  State(async::EventLoop& used, ServerOptions chosen, Handler handling)
      : loop(used),
        options(std::move(chosen)),
        handler(std::move(handling)),
        acceptor(loop,
                 {.tls = options.tls,
                  .reuse_port = options.reuse_port,
                  .max_connections = options.max_connections,
                  .handshake_time = options.header_timeout},
                 [this](std::unique_ptr<net::Stream> stream) { return serve(std::move(stream)); }) {}

  async::EventLoop& loop;
  ServerOptions options;
  Handler handler;
  Acceptor acceptor;

  Task<void> serve(std::unique_ptr<net::Stream> stream);
  Task<void> serve_http2(std::unique_ptr<net::Stream> stream, std::string already_read);
};

Task<Result<void>> Exchange::respond(int status, std::string_view content_type, std::string_view body) {
  ResponseHead head{status, {{"Content-Type", std::string(content_type)}}};
  co_return co_await respond(std::move(head), body);
}

Server::Server(async::EventLoop& loop, ServerOptions options, Handler handler)
    : state_(std::make_shared<State>(loop, std::move(options), std::move(handler))) {}

Server::~Server() = default;

Result<net::Address> Server::listen(const net::Address& address) {
  return state_->acceptor.listen(address);
}

std::size_t Server::connections() const {
  return state_->acceptor.connections();
}

Task<void> Server::State::serve(std::unique_ptr<net::Stream> stream) {
  std::string already_read;
  {
    ServerConnection connection({options, handler, acceptor.draining()}, std::move(stream), loop.executor());
    const Acceptor::Listed listed(acceptor, [&connection] { connection.begin_drain(); });
    co_await connection.serve();
    if (!connection.found_http2()) {
      co_return;
    }
    already_read = connection.take_unread();
    stream = connection.take_stream();
  }
  co_await serve_http2(std::move(stream), std::move(already_read));
}

Task<void> Server::State::serve_http2(std::unique_ptr<net::Stream> stream, std::string already_read) {
  const net::Address peer = stream->peer_address();
  Http2Connection* current = nullptr;
  auto accept = [this, &current, &peer](Http2Stream& requested) -> std::shared_ptr<StreamHandler> {
    auto exchange = std::make_shared<Http2Exchange>(options, requested, peer, loop.executor());
    current->tasks().spawn("http2 request", Http2Exchange::serve(exchange, handler));
    return exchange;
  };
  const Http2Limits limits{.max_header_bytes = options.max_header_bytes};
  const Http2Timing timing{.idle_timeout = options.idle_timeout, .write_timeout = options.write_timeout};
  Http2Connection connection(std::move(stream), Http2Session::Side::Server, limits, timing, loop.executor(),
                             accept);
  current = &connection;
  const Acceptor::Listed listed(acceptor, [&connection] { connection.drain(); });
  co_await connection.run(std::move(already_read));
}

Task<void> Server::run() {
  const auto state = state_;  // a cancelled task may unwind after the Server has gone
  co_await state->acceptor.run();
}

Task<void> Server::drain(async::Deadline deadline) {
  const auto state = state_;
  co_await state->acceptor.drain(deadline);
}

}  // namespace llmd::http
