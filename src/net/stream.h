// Stream: a connected byte stream, plain or TLS. Lives on one loop.
//
// Every wait is bounded by the stream's deadline: set it before an operation, it stays until changed. When it
// passes, the operation in flight fails with DeadlineExceeded naming what was waited for. Setting a deadline
// is two stores; a single timer per stream is re-armed lazily.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "async/deadline.h"
#include "net/address.h"
#include "net/tls.h"

namespace llmd::net {

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  virtual ~Stream() = default;

  // 0 means the peer closed its side in order.
  virtual Task<Result<std::size_t>> read_some(std::span<char> buffer) = 0;
  // Writes all pieces, in order, in as few system calls as possible.
  virtual Task<Result<void>> write(std::span<const std::string_view> pieces) = 0;
  Task<Result<void>> write(std::string_view bytes);

  // `waited_for` must outlive the wait (a literal, or owned by the caller).
  virtual void set_deadline(async::Deadline deadline, std::string_view waited_for) = 0;
  // Fails operations in flight with Cancelled and closes at once. Safe to call twice and from another task.
  virtual void close() = 0;
  // TLS close_notify / TCP FIN of our side; best effort.
  virtual Task<void> shutdown() = 0;
  // True when the peer has closed or sent unexpected bytes: an idle pooled connection that must not be
  // reused.
  virtual bool is_stale() = 0;
  // Completes when the peer closes or resets the connection, or bytes arrive (returns false then). Consumes
  // nothing. Servers use it to notice a client that left while a handler works.
  virtual Task<bool> wait_for_hangup() = 0;
  // The peer has closed its side or reset the connection, though bytes from before may still be unread.
  virtual bool peer_gone() = 0;

  // Reads without a task: `done` gets the result from the loop. For servers that keep reading while a handler
  // works: it notices a client that leaves and costs nothing when the next request comes. Not bounded by the
  // deadline. The buffer must live until `done` was called or the stream is destroyed (`done` is not called
  // then). At most one, and no read_some() meanwhile.
  using ReadDone = std::function<void(Result<std::size_t>)>;
  virtual void start_read(std::span<char> buffer, ReadDone done) = 0;

  virtual Address local_address() const = 0;
  virtual Address peer_address() const = 0;
};

struct DialOptions {
  async::Deadline deadline = async::Deadline::after(std::chrono::seconds(5));
  std::shared_ptr<const TlsClient> tls;  // null: plain TCP
  std::string server_name;               // for SNI and certificate check; default: the address's host
};

// Resolves, connects (TCP_NODELAY), and shakes hands when TLS is asked for.
Task<Result<std::unique_ptr<Stream>>> dial(Address address, DialOptions options);

struct ListenOptions {
  std::shared_ptr<const TlsServer> tls;  // null: plain TCP
  int backlog = 1024;
  bool reuse_port = false;
};

class Listener {
 public:
  // Port 0 takes a free port; address() tells which.
  static Result<std::unique_ptr<Listener>> open(async::EventLoop& loop, const Address& address,
                                                ListenOptions options);
  virtual ~Listener() = default;
  // Connected but, with TLS, not yet shaken hands: call handshake() in the connection's own task.
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual Address address() const = 0;
  virtual void close() = 0;
};

// Server side TLS handshake; a no-op for plain streams.
Task<Result<void>> handshake(Stream& stream, async::Deadline deadline);

}  // namespace llmd::net
