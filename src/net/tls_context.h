// The OpenSSL side of TLS contexts. Private to net.
#pragma once

#include <boost/asio/ssl.hpp>

#include "async/asio.h"
#include "async/snapshot.h"
#include "net/tls_options.h"

namespace llmd::net {

namespace asio = boost::asio;

// Every TlsServer is one of these, and every TlsClient is a TlsClientContext.
class TlsServerContext final : public TlsServer {
 public:
  TlsServerContext(std::filesystem::path certificate, std::filesystem::path key, TlsServerPolicy policy = {})
      : certificate_(std::move(certificate)),
        key_(std::move(key)),
        policy_(std::move(policy)),
        current_(nullptr) {}
  // The texts themselves; reload() changes nothing.
  static Result<std::shared_ptr<TlsServer>> from_pem(const std::string& certificate, const std::string& key,
                                                     const TlsServerPolicy& policy = {});
  Result<void> reload() override;
  // New connections use it from now on.
  void replace(std::shared_ptr<const asio::ssl::context> context) { current_.store(std::move(context)); }
  std::shared_ptr<const asio::ssl::context> current() const { return current_.load(); }

 private:
  std::filesystem::path certificate_;
  std::filesystem::path key_;
  TlsServerPolicy policy_;
  async::Snapshot<asio::ssl::context> current_;
};

// A context for servers: TLS 1.2 and newer, ALPN h2 and http/1.1, this certificate.
Result<std::shared_ptr<asio::ssl::context>> make_server_context(const std::string& certificate,
                                                                const std::string& key);

class TlsClientContext final : public TlsClient {
 public:
  TlsClientContext() : context(asio::ssl::context::tls_client) {}
  mutable asio::ssl::context context;
  std::string server_name;  // empty: what is connected to
};

}  // namespace llmd::net
