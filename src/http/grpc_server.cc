#include "http/grpc_server.h"

#include <map>

#include "http/acceptor.h"
#include "http/grpc_server_call.h"

namespace llmd::http {
namespace {

// Room for what a proxy sends of one request before we take it.
constexpr std::uint32_t kStreamWindow = 1024 * 1024;
constexpr std::uint32_t kConnectionWindow = 64 * 1024 * 1024;
// A proxy resets the stream of every client that leaves.
constexpr std::uint64_t kResetsAtOnce = 100'000;
constexpr std::uint64_t kResetsPerSecond = 10'000;

}  // namespace

struct GrpcServer::State {
  State(async::EventLoop& used, GrpcServerOptions chosen)
      : loop(used),
        options(std::move(chosen)),
        acceptor(loop,
                 {.tls = options.tls,
                  .reuse_port = options.reuse_port,
                  .max_connections = options.max_connections},
                 [this](std::unique_ptr<net::Stream> stream) { return serve(std::move(stream)); }) {}

  async::EventLoop& loop;
  GrpcServerOptions options;
  Acceptor acceptor;
  std::map<std::string, GrpcMethod, std::less<>> methods;
  std::size_t calls = 0;

  const GrpcMethod* find(std::string_view path) const {
    const auto found = methods.find(path);
    return found == methods.end() ? nullptr : &found->second;
  }
  Task<void> serve(std::unique_ptr<net::Stream> stream);
};

GrpcServer::GrpcServer(async::EventLoop& loop, GrpcServerOptions options)
    : state_(std::make_shared<State>(loop, std::move(options))) {}

GrpcServer::~GrpcServer() = default;

void GrpcServer::add(std::string path, GrpcMethod method) {
  state_->methods.insert_or_assign(std::move(path), std::move(method));
}

Result<net::Address> GrpcServer::listen(const net::Address& address) {
  return state_->acceptor.listen(address);
}

std::size_t GrpcServer::connections() const {
  return state_->acceptor.connections();
}

std::size_t GrpcServer::calls() const {
  return state_->calls;
}

Task<void> GrpcServer::State::serve(std::unique_ptr<net::Stream> stream) {
  Http2Connection* current = nullptr;
  auto accept_call = [this, &current](Http2Stream& requested) -> std::shared_ptr<StreamHandler> {
    auto call = std::make_shared<GrpcServerCall>(requested, *current, options, calls);
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
  const Acceptor::Listed listed(acceptor, [&connection] { connection.drain(); });
  co_await connection.run();
}

Task<void> GrpcServer::run() {
  const auto state = state_;  // a cancelled task may unwind after the GrpcServer has gone
  co_await state->acceptor.run();
}

Task<void> GrpcServer::drain(async::Deadline deadline) {
  const auto state = state_;
  co_await state->acceptor.drain(deadline);
}

}  // namespace llmd::http
