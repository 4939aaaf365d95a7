#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_stream.h"

namespace llmd::net {
namespace {

using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

class TcpListener final : public Listener {
 public:
  TcpListener(Acceptor acceptor, std::shared_ptr<const TlsServer> tls)
      : acceptor_(std::move(acceptor)), tls_(std::move(tls)) {
    async::ErrorCode ignored;
    local_ = acceptor_.local_endpoint(ignored);
  }

  Task<Result<std::unique_ptr<Stream>>> accept() override {
    while (acceptor_.is_open()) {
      const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        co_return make_stream(fd);
      }
      if (errno == EINTR || errno == ECONNABORTED) {
        continue;
      }
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        co_return system_error(errno, "accept on " + address().to_string());
      }
      const auto outcome = co_await acceptor_.async_wait(Acceptor::wait_read, async::kAwait);
      if (std::get<0>(outcome)) {
        co_await async::unwind_if_cancelled();
      }
    }
    co_return cancelled("the listener on {} is closed", address().to_string());
  }

  Address address() const override { return to_address(local_); }

  void close() override {
    async::ErrorCode ignored;
    acceptor_.close(ignored);
  }

 private:
  Result<std::unique_ptr<Stream>> make_stream(int fd) {
    Socket socket(acceptor_.get_executor());
    async::ErrorCode error;
    socket.assign(local_.protocol(), fd, error);
    if (error) {
      ::close(fd);
      return system_error(error.value(), "accept on " + address().to_string());
    }
    socket.set_option(Tcp::no_delay(true), error);
    socket.native_non_blocking(true, error);
    if (!tls_) {
      return std::make_unique<TcpStream>(std::move(socket));
    }
    // OpenSSL counts references: the context may be replaced while connections use it.
    const auto context = static_cast<const TlsServerContext&>(*tls_).current();
    return std::make_unique<TlsStream>(std::move(socket), const_cast<asio::ssl::context&>(*context));
  }

  Acceptor acceptor_;
  Tcp::endpoint local_;
  std::shared_ptr<const TlsServer> tls_;
};

Result<asio::ip::address> listen_address(const Address& address) {
  if (address.host == "localhost") {
    return asio::ip::address_v4::loopback();
  }
  async::ErrorCode error;
  const auto parsed = asio::ip::make_address(address.host, error);
  if (error) {
    return invalid_argument("listen on {}: not an IP address", address.to_string());
  }
  return parsed;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(async::EventLoop& loop, const Address& address,
                                                 ListenOptions options) {
  LLMD_TRY(const auto ip, listen_address(address));
  const Tcp::endpoint endpoint(ip, address.port);
  Acceptor acceptor(loop.executor());
  async::ErrorCode error;
  acceptor.open(endpoint.protocol(), error);
  const auto step = [&](auto&& action) {
    if (!error) {
      action();
    }
  };
  step([&] { acceptor.set_option(Acceptor::reuse_address(true), error); });
  step([&] { acceptor.set_option(ReusePort(options.reuse_port), error); });
  step([&] { acceptor.native_non_blocking(true, error); });
  step([&] { acceptor.bind(endpoint, error); });
  step([&] { acceptor.listen(options.backlog, error); });
  if (error) {
    Error failed = system_error(error.value(), "listen on " + address.to_string());
    return error == asio::error::address_in_use
               ? std::move(failed).hint("another program uses this port; stop it or choose another port")
               : std::move(failed);
  }
  ::fcntl(acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  return std::make_unique<TcpListener>(std::move(acceptor), std::move(options.tls));
}

Task<Result<void>> handshake(Stream& stream, async::Deadline deadline) {
  auto* tls = dynamic_cast<TlsStream*>(&stream);
  if (tls == nullptr) {
    co_return Result<void>();
  }
  stream.set_deadline(deadline, "TLS handshake");
  LLMD_CO_TRY_VOID(co_await tls->accept_handshake());
  stream.set_deadline(async::Deadline::never(), "peer");
  co_return Result<void>();
}

}  // namespace llmd::net
