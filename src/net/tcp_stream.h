// Plain TCP as a Stream. Private to net.
#pragma once

#include "net/stream.h"
#include "net/watchdog.h"

namespace llmd::net {

Address to_address(const Tcp::endpoint& endpoint);
Error to_error(const async::ErrorCode& error, std::string_view what, const Address& peer);

// What the plain and the TLS stream share: the socket, its deadline and what can be asked without reading.
class SocketStream : public Stream {
 public:
  ~SocketStream() override;

  void set_deadline(async::Deadline deadline, std::string_view waited_for) final;
  bool is_stale() final;
  bool peer_gone() final;
  Task<bool> wait_for_hangup() final;
  Address local_address() const final;
  Address peer_address() const final;
  void close() final;

 protected:
  explicit SocketStream(Executor executor);
  virtual Socket& socket() = 0;
  virtual const Socket& socket() const = 0;
  // The error of an operation that ended with `error`; unwinds when the calling task was cancelled.
  Task<Error> failure(async::ErrorCode error, std::string_view what);
  Watchdog& watchdog() { return *watchdog_; }
  std::shared_ptr<Watchdog> shared_watchdog() { return watchdog_; }
  bool closed() const { return closed_; }

 private:
  std::shared_ptr<Watchdog> watchdog_;
  bool closed_ = false;
};

class TcpStream final : public SocketStream {
 public:
  // Takes a socket that is or will be connected.
  explicit TcpStream(Socket socket);

  using Stream::write;
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override;
  Task<Result<void>> write(std::span<const std::string_view> pieces) override;
  void start_read(std::span<char> buffer, ReadDone done) override;
  Task<void> shutdown() override;

  Task<Result<void>> connect(Tcp::endpoint endpoint);
  Socket release() { return std::move(socket_); }

 protected:
  Socket& socket() override { return socket_; }
  const Socket& socket() const override { return socket_; }

 private:
  Socket socket_;
};

// No delay, non-blocking, not inherited by children.
void configure(Socket& socket);

}  // namespace llmd::net
