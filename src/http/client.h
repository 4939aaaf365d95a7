// HTTP/1.1 client with a keep-alive pool per upstream address. One loop; not thread-safe.
//
// An idle pooled connection that turns out to be closed is replaced silently when no byte of the request was
// answered and the body can be sent again.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/body.h"
#include "http/message.h"
#include "net/stream.h"

namespace llmd::http {

// All waits of one call. Each expiry is DeadlineExceeded naming what was waited for.
struct Timeouts {
  Duration connect = std::chrono::seconds(5);
  Duration first_byte = std::chrono::seconds(60);  // from the request sent to the response head
  Duration idle = std::chrono::seconds(60);        // between two reads of the body
  async::Deadline total = async::Deadline::never();
};

class ClientResponse {
 public:
  virtual ~ClientResponse() = default;
  virtual const ResponseHead& head() const = 0;
  int status() const { return head().status; }
  // Reading to the end returns the connection to the pool; destroying the response earlier closes it, which
  // tells the server to stop.
  virtual BodyReader& body() = 0;
  // After 101: the raw connection.
  virtual std::unique_ptr<net::Stream> upgrade() = 0;
};

// Ends one call from outside its task: what the call waits for fails with Cancelled and the connection is
// closed. For relays whose client leaves. Must outlive the call and its response. Same loop.
class Abort {
 public:
  void abort() {
    aborted_ = true;
    if (stream_ != nullptr) {
      stream_->close();
    }
    if (stop_) {
      std::exchange(stop_, nullptr)();
    }
  }
  bool aborted() const { return aborted_; }
  // Instead of a connection that may be closed: how to end the call. By the client.
  void attach_stop(std::function<void()> stop) {
    stop_ = std::move(stop);
    connected_ = true;
  }
  // The call got a connection: a failure after this is the server's, before it the network's.
  bool connected() const { return connected_; }
  void attach(net::Stream* stream) {  // by the client
    stream_ = stream;
    connected_ = connected_ || stream != nullptr;
  }

 private:
  net::Stream* stream_ = nullptr;
  std::function<void()> stop_;
  bool connected_ = false;
  bool aborted_ = false;
};

struct ClientRequest {
  net::Address address;               // where to connect
  RequestHead head;                   // Host is set from the address unless present
  std::string_view content;           // whole body; sent with Content-Length; must outlive the call
  const Headers* trailers = nullptr;  // after content; null: none. Must outlive the call
  BodyReader* stream = nullptr;  // instead of content: sent chunked (or with its length) while it arrives
  Timeouts timeouts;
  Abort* abort = nullptr;
};

struct ClientOptions {
  std::shared_ptr<const net::TlsClient> tls;  // null: http
  std::size_t max_idle_per_address = 64;
  Duration idle_lifetime = std::chrono::seconds(30);
  std::size_t max_header_bytes = 64 * 1024;
};

// Whatever sends requests: a pool of HTTP/1.1 connections, or of HTTP/2's (http2_pool.h).
class Client {
 public:
  virtual ~Client() = default;
  virtual Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) = 0;
};

class ClientPool final : public Client {
 public:
  ClientPool(async::EventLoop& loop, ClientOptions options = {});
  ~ClientPool() override;
  Task<Result<std::unique_ptr<ClientResponse>>> send(ClientRequest request) override;
  void close_idle();

 public:
  struct State;  // private to http

 private:
  std::shared_ptr<State> state_;
};

// The simple case: whole answer in memory, bounded; a status of 400 and more is NOT an error.
struct Answer {
  int status = 0;
  Headers headers;
  std::string body;
};
Task<Result<Answer>> fetch(Client& pool, ClientRequest request, std::size_t limit = 16 * 1024 * 1024);

}  // namespace llmd::http
