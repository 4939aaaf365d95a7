#include "http/grpc_server.h"

#include <map>

#include "async/event.h"
#include "base/assert.h"
#include "base/log.h"
#include "http/grpc_server_call.h"

namespace llmd::http {
namespace {

// Room for what a proxy sends of one request before we take it.
constexpr std::uint32_t kStreamWindow = 1024 * 1024;
constexpr std::uint32_t kConnectionWindow = 64 * 1024 * 1024;
// A proxy resets the stream of every client that leaves.
constexpr std::uint64_t kResetsAtOnce = 100'000;
constexpr std::uint64_t kResetsPerSecond = 10'000;
constexpr auto kHandshakeTime = std::chrono::seconds(10);

}  // namespace

struct GrpcServer::State {
  State(async::EventLoop& used, GrpcServerOptions chosen)
      : loop(used), options(std::move(chosen)), changed(used.executor()) {}

  async::EventLoop& loop;
  GrpcServerOptions options;
  std::map<std::string, GrpcMethod, std::less<>> methods;
  std::unique_ptr<net::Listener> listener;
  std::list<Http2Connection*> connections;
  std::size_t opened = 0;  // connections with those that still shake hands
  std::size_t calls = 0;
  async::Scope* scope = nullptr;
  bool draining = false;
  async::Event changed;

  const GrpcMethod* find(std::string_view path) const {
    const auto found = methods.find(path);
    return found == methods.end() ? nullptr : &found->second;
  }
  Task<void> accept(async::Scope& spawned);
  Task<void> serve(std::unique_ptr<net::Stream> stream);
};

GrpcServer::GrpcServer(async::EventLoop& loop, GrpcServerOptions options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

GrpcServer::~GrpcServer() = default;

void GrpcServer::add(std::string path, GrpcMethod method) {
  state_->methods.insert_or_assign(std::move(path), std::move(method));
}

Result<net::Address> GrpcServer::listen(const net::Address& address) {
  LLMD_TRY(state_->listener,
           net::Listener::open(state_->loop, address,
                               {.tls = state_->options.tls, .reuse_port = state_->options.reuse_port}));
  return state_->listener->address();
}

std::size_t GrpcServer::connections() const {
  return state_->connections.size();
}

std::size_t GrpcServer::calls() const {
  return state_->calls;
}

Task<void> GrpcServer::State::serve(std::unique_ptr<net::Stream> stream) {
  struct Opened {
    explicit Opened(State& of) : state(of) { ++state.opened; }
    ~Opened() {
      --state.opened;
      state.changed.set();
    }
    State& state;
  } counted(*this);
  const auto ready = co_await net::handshake(*stream, async::Deadline::after(kHandshakeTime));
  if (!ready) {
    co_return;
  }
  Http2Connection* current = nullptr;
  auto accept_call = [this, &current](Http2Stream& requested) -> std::shared_ptr<StreamHandler> {
    auto call = std::make_shared<GrpcServerCall>(requested, *current, options.max_message_bytes, calls);
    call->begin(find(call->request().path()));
    return call;
  };
  const Http2Limits limits{.max_streams = options.max_streams,
                           .stream_window = kStreamWindow,
                           .connection_window = kConnectionWindow,
                           .resets_at_once = kResetsAtOnce,
                           .resets_per_second = kResetsPerSecond};
  const Http2Timing timing{.ping_interval = options.ping_interval,
                           .ping_timeout = options.ping_timeout,
                           .idle_timeout = Duration::zero()};
  Http2Connection connection(std::move(stream), Http2Session::Side::Server, limits, timing, loop.executor(),
                             accept_call);
  current = &connection;
  struct Listed {
    Listed(std::list<Http2Connection*>& in, Http2Connection& which)
        : list(in), position(in.insert(in.end(), &which)) {}
    ~Listed() { list.erase(position); }
    std::list<Http2Connection*>& list;
    std::list<Http2Connection*>::iterator position;
  } listed(connections, connection);
  if (draining) {
    connection.drain();
  }
  co_await connection.run();
}

Task<void> GrpcServer::State::accept(async::Scope& spawned) {
  while (!draining) {
    if (opened >= options.max_connections) {
      changed.reset();
      co_await changed.wait();
      continue;
    }
    auto stream = co_await listener->accept();
    if (stream) {
      spawned.spawn("grpc connection", serve(std::move(*stream)));
      continue;
    }
    if (draining || stream.error().kind == ErrorKind::Cancelled) {
      break;
    }
    log::warning("cannot accept connections", {{"error", stream.error().text()}});
    co_await async::sleep(std::chrono::milliseconds(100));
  }
}

Task<void> GrpcServer::run() {
  const auto state = state_;
  LLMD_ASSERT(state->listener != nullptr, "GrpcServer::listen() comes before run()");
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

Task<void> GrpcServer::drain(async::Deadline deadline) {
  const auto state = state_;
  state->draining = true;
  state->changed.set();
  if (state->listener) {
    state->listener->close();
  }
  for (Http2Connection* connection : state->connections) {
    connection->drain();
  }
  while (state->opened > 0) {
    state->changed.reset();
    const bool changed = co_await state->changed.wait_until(deadline);
    if (!changed && state->scope != nullptr) {
      state->scope->cancel();
      break;
    }
  }
}

}  // namespace llmd::http
