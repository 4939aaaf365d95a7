// gRPC server over our HTTP/2. A method is a function from a call to its handler; a handler is told of every
// message while the connection is being read, without a task, and answers by sending: streams that open for
// one request and carry a few small messages cost microseconds.
//
//   GrpcServer server(loop, options);
//   server.add("/grpc.health.v1.Health/Check", [](GrpcCall& call) { return std::make_unique<Check>(call); });
//   LLMD_TRY(auto address, server.listen({"0.0.0.0", 9003}));
//   co_await server.run();
//
// One loop; not thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "async/scope.h"
#include "http/grpc_status.h"
#include "http/kept_bytes.h"
#include "http/message.h"
#include "net/stream.h"

namespace llmd::http {

class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  virtual const RequestHead& request() const = 0;  // path and metadata
  virtual net::Address peer() const = 0;

  // One message, given in pieces.
  virtual void send(std::span<const KeptBytes> pieces) = 0;
  void send(std::string_view message) {
    const KeptBytes piece{message};
    send(std::span(&piece, 1));
  }
  // Asks for GrpcHandler::on_sending(), once: to send together what belongs to several messages.
  virtual void send_later() = 0;
  // Within on_message(): takes the message over, whose view lives as long as what is returned. Null: it lies
  // in memory of the connection and has to be copied.
  virtual std::shared_ptr<const void> keep_message() = 0;
  // Ends the call: what is queued goes out first. The handler hears nothing more.
  virtual void finish(GrpcStatus status) = 0;
  // After sending outside of the handler's own calls.
  virtual void flush() = 0;

  // Bytes that the peer has not taken yet. While they are many, nothing more is read from it.
  virtual std::size_t queued() const = 0;
  // Tasks that work for this call. They may outlive it: the connection waits for them.
  virtual async::Scope& tasks() = 0;
  virtual Executor executor() const = 0;
};

// Lives until the call is over, however it ends: what it holds is released by its destructor.
class GrpcHandler {
 public:
  virtual ~GrpcHandler() = default;
  virtual void on_message(std::string_view message) = 0;
  virtual void on_half_close() = 0;  // the client has said everything
  // The call ends here, and not by the handler: a message that is too large or malformed, a deadline.
  virtual void on_failed(const GrpcStatus&) {}
  virtual void on_drained() {}  // queued() fell below 64 KiB
  // All that the connection has read has been told; it is about to send. Also comes without send_later().
  virtual void on_sending() {}
};
using GrpcMethod = std::function<std::unique_ptr<GrpcHandler>(GrpcCall&)>;

struct GrpcServerOptions {
  std::shared_ptr<const net::TlsServer> tls;  // null: plaintext with prior knowledge
  bool reuse_port = false;
  std::uint32_t max_streams = 100'000;  // of one client at the same time: a proxy opens one per request
  std::size_t max_message_bytes = 64 * 1024 * 1024;
  std::string message_limit_flag;  // what raises that, for whoever sends more; empty: nothing does
  std::size_t max_connections = 10'000;
  Duration ping_interval = std::chrono::seconds(10);  // of silence; then the peer has to answer
  Duration ping_timeout = std::chrono::seconds(10);
};

class GrpcServer {
 public:
  GrpcServer(async::EventLoop& loop, GrpcServerOptions options);
  ~GrpcServer();
  void add(std::string path, GrpcMethod method);

  Result<net::Address> listen(const net::Address& address);
  Task<void> run();  // accepts until cancelled or drained
  // No new calls; those that run may finish until the deadline, the rest is cut.
  Task<void> drain(async::Deadline deadline);
  std::size_t connections() const;
  std::size_t calls() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace llmd::http
