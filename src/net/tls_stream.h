// TLS over TCP as a Stream. Private to net.
#pragma once

#include <string>

#include "net/tcp_stream.h"
#include "net/tls_context.h"

namespace llmd::net {

class TlsStream final : public SocketStream {
 public:
  TlsStream(Socket socket, asio::ssl::context& context);

  using Stream::write;
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override;
  Task<Result<void>> write(std::span<const std::string_view> pieces) override;
  void start_read(std::span<char> buffer, ReadDone done) override;
  Task<void> shutdown() override;

  // Server side when no name is given. The deadline is the stream's.
  Task<Result<void>> accept_handshake();
  Task<Result<void>> connect_handshake(std::string server_name);

 protected:
  Socket& socket() override { return core_->next_layer(); }
  const Socket& socket() const override { return core_->next_layer(); }

 private:
  using Core = asio::ssl::stream<Socket>;
  // Shared, because aborted operations touch it after the stream is gone.
  std::shared_ptr<Core> core_;
  std::string joined_;  // small pieces become one record
};

}  // namespace llmd::net
