// HTTP/1.1 server: keep-alive, pipelining in order, chunked bodies both ways, Expect: 100-continue, limits on
// everything, clean drain. One loop per Server; several servers with reuse_port share an address.
//
//   Server server(loop, options, [&](Exchange& exchange) -> Task<void> {
//     auto body = co_await read_all(exchange.body(), 1 << 20);
//     co_await exchange.respond(200, "application/json", "{}");
//   });
//   LLMD_TRY(auto address, server.listen({"127.0.0.1", 0}));
//   co_await server.run();      // until cancelled or drained
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "async/scope.h"
#include "http/body.h"
#include "http/message.h"
#include "net/stream.h"

namespace llmd::http {

// One request and its response. Lives as long as the handler runs.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const RequestHead& request() const = 0;
  virtual BodyReader& body() = 0;
  virtual net::Address peer() const = 0;

  // A whole response with Content-Length.
  virtual Task<Result<void>> respond(ResponseHead head, std::string_view body) = 0;
  Task<Result<void>> respond(int status, std::string_view content_type, std::string_view body);

  // A streamed response: start, any number of writes, finish. Each write goes to the socket at once (one
  // packet per SSE event; TCP_NODELAY). Content-Length in `head` is respected, otherwise chunked (HTTP/1.0:
  // close). `first` and `last` travel in the same packet as the head and the end.
  virtual Task<Result<void>> start(ResponseHead head, std::string_view first = {}) = 0;
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  virtual Task<Result<void>> finish(std::string_view last = {}) = 0;
  virtual bool started() const = 0;
  // Fields to follow the body at the next finish(). Left out where the client does not take them: HTTP/1.1
  // without TE: trailers.
  virtual void set_trailers(Headers) {}
  // The request's body may be endless and silent, as a gRPC stream is: its limits of size and time are
  // lifted, where the protocol has flow control (HTTP/2).
  virtual void lift_body_limits() {}

  // Completes when the client has gone away. Race it against work: `(co_await ...) ||
  // exchange.client_gone()`.
  virtual Task<void> client_gone() = 0;
  // The same without a task, for relays: called on the loop, at most once, while the handler runs. An empty
  // function takes it back. Works once the request body has been read; costs nothing per request otherwise.
  virtual void on_client_gone(std::function<void()> callback) = 0;

  // Takes the connection over after a 101 response (WebSocket, SPDY): bytes already read come first.
  virtual std::unique_ptr<net::Stream> upgrade() = 0;
};

// A handler must answer; one that returns without answering yields a 500. Errors of writes mean the client is
// gone. After an error of body().next() a handler may just return: the server then answers 413, 408 or 400
// itself.
using Handler = std::function<Task<void>(Exchange&)>;

struct ServerOptions {
  std::shared_ptr<const net::TlsServer> tls;
  bool reuse_port = false;
  std::size_t max_header_bytes = 64 * 1024;
  std::size_t max_body_bytes = 32 * 1024 * 1024;  // more is answered 413
  std::size_t max_connections = 10000;            // more wait in the backlog
  Duration header_timeout = std::chrono::seconds(30);
  Duration idle_timeout = std::chrono::seconds(120);      // between requests of a connection
  Duration body_idle_timeout = std::chrono::seconds(30);  // between two reads of a request body
  Duration write_timeout = std::chrono::seconds(60);      // a client that reads nothing
  std::string server_header = "llmd";
  // Body and content type of the answers the server gives by itself (malformed requests, limits).
  std::function<std::string(int status, std::string_view message)>
      error_body;  // default: the message as text
  std::string error_content_type = "text/plain; charset=utf-8";
};

class Server {
 public:
  Server(async::EventLoop& loop, ServerOptions options, Handler handler);
  ~Server();

  Result<net::Address> listen(const net::Address& address);
  // Accepts until cancelled. On cancellation the listener closes and connections are cancelled.
  Task<void> run();
  // No new connections or requests; running exchanges may finish until the deadline, the rest is cancelled.
  Task<void> drain(async::Deadline deadline);
  std::size_t connections() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace llmd::http
