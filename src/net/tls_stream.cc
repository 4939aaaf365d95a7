#include "net/tls_stream.h"

#include <openssl/ssl.h>

#include <boost/asio/write.hpp>

namespace llmd::net {
namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;

bool is_end(const async::ErrorCode& error) {
  // Many servers close without the TLS goodbye; HTTP's own framing tells whether something is missing.
  return error == asio::error::eof || error == asio::ssl::error::stream_truncated;
}

}  // namespace

TlsStream::TlsStream(Socket socket, asio::ssl::context& context)
    : SocketStream(socket.get_executor()), core_(std::make_shared<Core>(std::move(socket), context)) {}

Task<Result<std::size_t>> TlsStream::read_some(std::span<char> buffer) {
  const auto core = core_;
  watchdog().begin();
  const auto outcome =
      co_await core->async_read_some(asio::buffer(buffer.data(), buffer.size()), async::kAwait);
  watchdog().end();
  if (!std::get<0>(outcome)) {
    co_return std::get<1>(outcome);
  }
  if (is_end(std::get<0>(outcome))) {
    co_return std::size_t{0};
  }
  co_return co_await failure(std::get<0>(outcome), "read from");
}

void TlsStream::start_read(std::span<char> buffer, ReadDone done) {
  auto at_end = [this, core = core_, buffer, watchdog = shared_watchdog(), done = std::move(done)](
                    const async::ErrorCode& error, std::size_t size) mutable {
    if (!watchdog->alive()) {
      return;
    }
    if (error == asio::error::operation_aborted && !closed()) {
      start_read(buffer, std::move(done));
    } else if (error && !is_end(error)) {
      done(closed() ? cancelled("closed") : unavailable("read: {}", error.message()));
    } else {
      done(size);
    }
  };
  core_->async_read_some(asio::buffer(buffer.data(), buffer.size()), std::move(at_end));
}

Task<Result<void>> TlsStream::write(std::span<const std::string_view> pieces) {
  const auto core = core_;
  std::size_t next = 0;
  while (next < pieces.size()) {
    joined_.clear();
    std::string_view bytes = pieces[next++];
    // Neighbours that fit into one record travel in one.
    while (next < pieces.size() &&
           std::max(joined_.size(), bytes.size()) + pieces[next].size() <= kRecordBytes) {
      if (joined_.empty()) {
        joined_ = bytes;
      }
      joined_ += pieces[next++];
    }
    bytes = joined_.empty() ? bytes : std::string_view(joined_);
    if (bytes.empty()) {
      continue;
    }
    watchdog().begin();
    const auto outcome =
        co_await asio::async_write(*core, asio::buffer(bytes.data(), bytes.size()), async::kAwait);
    watchdog().end();
    if (std::get<0>(outcome)) {
      co_return co_await failure(std::get<0>(outcome), "write to");
    }
  }
  co_return Result<void>();
}

Task<void> TlsStream::shutdown() {
  // Only our goodbye: waiting for the peer's would make an orderly end depend on it.
  SSL_set_quiet_shutdown(core_->native_handle(), 0);
  const auto core = core_;
  set_deadline(async::Deadline::after(std::chrono::milliseconds(200)), "TLS shutdown");
  watchdog().begin();
  co_await core->async_shutdown(async::kAwait);
  watchdog().end();
  async::ErrorCode ignored;
  socket().shutdown(Tcp::socket::shutdown_send, ignored);
}

Task<Result<void>> TlsStream::accept_handshake() {
  const auto core = core_;
  watchdog().begin();
  const auto outcome = co_await core->async_handshake(asio::ssl::stream_base::server, async::kAwait);
  watchdog().end();
  if (std::get<0>(outcome)) {
    co_return co_await failure(std::get<0>(outcome), "TLS handshake with");
  }
  co_return Result<void>();
}

Task<Result<void>> TlsStream::connect_handshake(std::string server_name) {
  const auto core = core_;
  async::ErrorCode error;
  asio::ip::make_address(server_name, error);
  if (error) {  // a name, not an address: SNI carries names only
    SSL_set_tlsext_host_name(core->native_handle(), server_name.c_str());
  }
  core->set_verify_callback(asio::ssl::host_name_verification(server_name), error);
  watchdog().begin();
  const auto outcome = co_await core->async_handshake(asio::ssl::stream_base::client, async::kAwait);
  watchdog().end();
  if (std::get<0>(outcome)) {
    co_return co_await failure(std::get<0>(outcome), "TLS handshake with");
  }
  co_return Result<void>();
}

}  // namespace llmd::net
