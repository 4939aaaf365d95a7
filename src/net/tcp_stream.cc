#include "net/tcp_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>

#include "net/refused.h"

namespace llmd::net {

Address to_address(const Tcp::endpoint& endpoint) {
  return {endpoint.address().to_string(), endpoint.port()};
}

Error to_error(const async::ErrorCode& error, std::string_view what, const Address& peer) {
  if (error == asio::error::host_not_found || error == asio::error::host_not_found_try_again) {
    return unavailable("{} {}: unknown host name", what, peer.to_string());
  }
  return unavailable("{} {}: {}", what, peer.to_string(), error.message());
}

bool is_refused(const Error& error) {
  static const std::string words = async::ErrorCode(asio::error::connection_refused).message();
  return error.kind == ErrorKind::Unavailable && error.message.ends_with(words);
}

void configure(Socket& socket) {
  async::ErrorCode ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  socket.native_non_blocking(true, ignored);
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

SocketStream::SocketStream(Executor executor)
    : watchdog_(std::make_shared<Watchdog>(executor, [this] {
        async::ErrorCode ignored;
        socket().cancel(ignored);
      })) {}

SocketStream::~SocketStream() {
  watchdog_->disarm();
}

void SocketStream::set_deadline(async::Deadline deadline, std::string_view waited_for) {
  watchdog_->set(deadline, waited_for);
}

void SocketStream::close() {
  closed_ = true;
  async::ErrorCode ignored;
  socket().close(ignored);
}

bool SocketStream::is_stale() {
  char byte = 0;
  const auto n = ::recv(socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

bool SocketStream::peer_gone() {
  pollfd state{socket().native_handle(), POLLRDHUP, 0};
  return closed_ ||
         (::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0);
}

Task<bool> SocketStream::wait_for_hangup() {
  while (!closed_) {
    const auto outcome = co_await socket().async_wait(Tcp::socket::wait_read, async::kAwait);
    if (std::get<0>(outcome) == asio::error::operation_aborted && !closed_) {
      co_await async::unwind_if_cancelled();
      continue;  // the deadline of another operation passed
    }
    co_return peer_gone();
  }
  co_return true;
}

Address SocketStream::local_address() const {
  async::ErrorCode ignored;
  return to_address(socket().local_endpoint(ignored));
}

Address SocketStream::peer_address() const {
  async::ErrorCode ignored;
  return to_address(socket().remote_endpoint(ignored));
}

Task<Error> SocketStream::failure(async::ErrorCode error, std::string_view what) {
  if (closed_) {
    co_return cancelled("{}: the connection was closed by us", what);
  }
  if (error == asio::error::operation_aborted) {
    if (watchdog_->expired()) {
      co_return watchdog_->missed();
    }
    co_await async::unwind_if_cancelled();
    co_return cancelled("{}: cancelled", what);
  }
  co_return to_error(error, what, peer_address());
}

TcpStream::TcpStream(Socket socket) : SocketStream(socket.get_executor()), socket_(std::move(socket)) {}

Task<Result<std::size_t>> TcpStream::read_some(std::span<char> buffer) {
  // Asio knows from the last read whether the socket is drained, so there is no wasted recv here.
  watchdog().begin();
  const auto outcome =
      co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), async::kAwait);
  watchdog().end();
  const async::ErrorCode error = std::get<0>(outcome);
  if (!error) {
    co_return std::get<1>(outcome);
  }
  if (error == asio::error::eof) {
    co_return std::size_t{0};
  }
  co_return co_await failure(error, "read from");
}

void TcpStream::start_read(std::span<char> buffer, ReadDone done) {
  auto at_end = [this, buffer, watchdog = shared_watchdog(), done = std::move(done)](
                    const async::ErrorCode& error, std::size_t size) mutable {
    if (!watchdog->alive()) {
      return;
    }
    if (error == asio::error::operation_aborted && !closed()) {
      start_read(buffer, std::move(done));  // the deadline of another operation passed
    } else if (error && error != asio::error::eof) {
      done(closed() ? cancelled("closed") : unavailable("read: {}", error.message()));
    } else {
      done(size);
    }
  };
  socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), std::move(at_end));
}

namespace {

// The pieces that are not written yet, as iovecs.
class Remaining {
 public:
  explicit Remaining(std::span<const std::string_view> pieces) : pieces_(pieces) { skip_empty(); }

  bool empty() const { return pieces_.empty(); }
  std::size_t fill(std::span<iovec> out) const {
    std::size_t count = 0;
    for (const std::string_view piece : pieces_.first(std::min(pieces_.size(), out.size()))) {
      const std::size_t skipped = count == 0 ? offset_ : 0;
      out[count++] = {const_cast<char*>(piece.data()) + skipped, piece.size() - skipped};
    }
    return count;
  }
  void advance(std::size_t bytes) {
    while (!pieces_.empty() && bytes >= pieces_.front().size() - offset_) {
      bytes -= pieces_.front().size() - offset_;
      offset_ = 0;
      pieces_ = pieces_.subspan(1);
    }
    offset_ += bytes;
  }

 private:
  void skip_empty() { advance(0); }

  std::span<const std::string_view> pieces_;
  std::size_t offset_ = 0;
};

}  // namespace

Task<Result<void>> TcpStream::write(std::span<const std::string_view> pieces) {
  Remaining remaining(pieces);
  while (!remaining.empty()) {
    std::array<iovec, 16> vectors;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = remaining.fill(vectors);
    // First without asking the reactor: a socket buffer nearly always has room.
    const auto written = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0) {
      remaining.advance(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) {
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      co_return co_await failure(async::ErrorCode(errno, boost::system::system_category()), "write to");
    }
    watchdog().begin();
    const auto outcome = co_await socket_.async_wait(Tcp::socket::wait_write, async::kAwait);
    watchdog().end();
    if (std::get<0>(outcome)) {
      co_return co_await failure(std::get<0>(outcome), "write to");
    }
  }
  co_return Result<void>();
}

Task<void> TcpStream::shutdown() {
  async::ErrorCode ignored;
  socket_.shutdown(Tcp::socket::shutdown_send, ignored);
  co_return;
}

Task<Result<void>> TcpStream::connect(Tcp::endpoint endpoint) {
  async::ErrorCode error;
  socket_.open(endpoint.protocol(), error);
  if (error) {
    co_return system_error(error.value(), "socket");
  }
  configure(socket_);
  watchdog().begin();
  const auto outcome = co_await socket_.async_connect(endpoint, async::kAwait);
  watchdog().end();
  if (!std::get<0>(outcome)) {
    co_return Result<void>();
  }
  if (std::get<0>(outcome) == asio::error::operation_aborted) {
    co_return co_await failure(std::get<0>(outcome), "connect to");
  }
  co_return to_error(std::get<0>(outcome), "connect to", to_address(endpoint));
}

}  // namespace llmd::net
