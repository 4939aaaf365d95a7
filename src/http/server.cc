#include "http/server.h"

#include "async/event.h"
#include "base/assert.h"
#include "base/log.h"
#include "http/http2_exchange.h"
#include "http/server_connection.h"

namespace llmd::http {

struct Server::State {
  State(async::EventLoop& used, ServerOptions chosen, Handler handling)
      : loop(used), options(std::move(chosen)), handler(std::move(handling)), changed(used.executor()) {}

  async::EventLoop& loop;
  ServerOptions options;
  Handler handler;
  std::unique_ptr<net::Listener> listener;
  std::list<Drainable*> connections;
  async::Scope* scope = nullptr;  // of run(), while it runs
  bool draining = false;
  async::Event changed;  // a connection ended, or draining began

  Task<void> accept(async::Scope& spawned);
  Task<void> serve(std::unique_ptr<net::Stream> stream);
  Task<void> serve_http2(std::unique_ptr<net::Stream> stream, std::string already_read);
};

Task<Result<void>> Exchange::respond(int status, std::string_view content_type, std::string_view body) {
  ResponseHead head{status, {{"Content-Type", std::string(content_type)}}};
  co_return co_await respond(std::move(head), body);
}

namespace {

// Keeps the list right however the connection's task ends.
class Listed {
 public:
  Listed(std::list<Drainable*>& list, Drainable& connection, async::Event& changed)
      : list_(list), position_(list.insert(list.end(), &connection)), changed_(changed) {}
  Listed(const Listed&) = delete;
  ~Listed() {
    list_.erase(position_);
    changed_.set();
  }

 private:
  std::list<Drainable*>& list_;
  std::list<Drainable*>::iterator position_;
  async::Event& changed_;
};

}  // namespace

Server::Server(async::EventLoop& loop, ServerOptions options, Handler handler)
    : state_(std::make_shared<State>(loop, std::move(options), std::move(handler))) {}

Server::~Server() = default;

Result<net::Address> Server::listen(const net::Address& address) {
  LLMD_TRY(state_->listener,
           net::Listener::open(state_->loop, address,
                               {.tls = state_->options.tls, .reuse_port = state_->options.reuse_port}));
  return state_->listener->address();
}

std::size_t Server::connections() const {
  return state_->connections.size();
}

Task<void> Server::State::serve(std::unique_ptr<net::Stream> stream) {
  const auto ready = co_await net::handshake(*stream, async::Deadline::after(options.header_timeout));
  if (!ready) {
    co_return;
  }
  std::string already_read;
  {
    ServerConnection connection({options, handler, draining}, std::move(stream), loop.executor());
    const Listed listed(connections, connection, changed);
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
  struct Draining final : Drainable {
    explicit Draining(Http2Connection& of) : connection(of) {}
    void begin_drain() override { connection.drain(); }
    Http2Connection& connection;
  };
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
  Draining drainable(connection);
  const Listed listed(connections, drainable, changed);
  if (draining) {
    connection.drain();
  }
  co_await connection.run(std::move(already_read));
}

Task<void> Server::State::accept(async::Scope& spawned) {
  while (!draining) {
    if (connections.size() >= options.max_connections) {
      changed.reset();
      co_await changed.wait();
      continue;
    }
    auto stream = co_await listener->accept();
    if (stream) {
      spawned.spawn("http connection", serve(std::move(*stream)));
      continue;
    }
    if (draining || stream.error().kind == ErrorKind::Cancelled) {
      break;
    }
    log::warning("cannot accept connections", {{"error", stream.error().text()}});
    co_await async::sleep(std::chrono::milliseconds(100));  // out of descriptors: waiting may free some
  }
}

Task<void> Server::run() {
  const auto state = state_;
  LLMD_ASSERT(state->listener != nullptr, "Server::listen() comes before run()");
  auto body = [state](async::Scope& scope) -> Task<void> {
    state->scope = &scope;
    co_await state->accept(scope);
    co_await scope.join();
  };
  struct Closing {
    State& state;
    ~Closing() {
      state.scope = nullptr;
      state.listener->close();
    }
  } closing{*state};
  co_await async::with_scope(state->loop.executor(), body);
}

Task<void> Server::drain(async::Deadline deadline) {
  const auto state = state_;
  state->draining = true;
  state->changed.set();
  if (state->listener) {
    state->listener->close();
  }
  for (Drainable* connection : state->connections) {
    connection->begin_drain();
  }
  while (!state->connections.empty()) {
    state->changed.reset();
    const bool changed = co_await state->changed.wait_until(deadline);
    if (!changed && state->scope != nullptr) {
      state->scope->cancel();
      break;
    }
  }
}

}  // namespace llmd::http
