#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls_context.h"
#include "net/tls_options.h"

namespace llmd::net {
namespace {

// Servers speak both and prefer HTTP/2; clients offer what they can.
constexpr unsigned char kServerAlpn[] = "\x02h2\x08http/1.1";
constexpr unsigned char kHttp1Alpn[] = "\x08http/1.1";
constexpr unsigned char kHttp2Alpn[] = "\x02h2";

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kServerAlpn, sizeof(kServerAlpn) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;  // a client that offers other protocols only may still speak HTTP/1.1
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void set_common(asio::ssl::context& context) {
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
}

Error tls_error(std::string_view what, const async::ErrorCode& error) {
  return invalid_argument("{}: {}", what, error.message());
}

Result<std::shared_ptr<TlsClientContext>> make_client(bool http2 = false, bool verify = true) {
  auto client = std::make_shared<TlsClientContext>();
  set_common(client->context);
  if (http2) {
    SSL_CTX_set_alpn_protos(client->context.native_handle(), kHttp2Alpn, sizeof(kHttp2Alpn) - 1);
  } else {
    SSL_CTX_set_alpn_protos(client->context.native_handle(), kHttp1Alpn, sizeof(kHttp1Alpn) - 1);
  }
  async::ErrorCode error;
  client->context.set_verify_mode(verify ? asio::ssl::verify_peer : asio::ssl::verify_none, error);
  if (error) {
    return tls_error("TLS client", error);
  }
  return client;
}

Result<void> use_certificate(asio::ssl::context& context, const std::string& certificate,
                             const std::string& key) {
  async::ErrorCode error;
  context.use_certificate_chain(asio::buffer(certificate), error);
  if (error) {
    return tls_error("certificate", error);
  }
  context.use_private_key(asio::buffer(key), asio::ssl::context::pem, error);
  if (error) {
    return tls_error("private key", error);
  }
  return {};
}

std::shared_ptr<asio::ssl::context> make_server_context() {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  set_common(*context);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), select_alpn, nullptr);
  return context;
}

Result<void> obey(asio::ssl::context& context, const TlsServerPolicy& policy) {
  static constexpr int kVersions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
  SSL_CTX* const native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, kVersions[static_cast<std::size_t>(policy.oldest)]);
  if (policy.oldest < TlsServerPolicy::Version::Tls12) {
    SSL_CTX_set_security_level(native, 0);  // at any other OpenSSL refuses them all the same
  }
  if (!policy.ciphers.empty() && SSL_CTX_set_cipher_list(native, policy.ciphers.c_str()) != 1) {
    return invalid_argument("no usable cipher in '{}'", policy.ciphers);
  }
  if (policy.client_ca_pem.empty()) {
    return {};
  }
  async::ErrorCode error;
  context.add_certificate_authority(asio::buffer(policy.client_ca_pem), error);
  if (!error) {
    context.set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, error);
  }
  if (error) {
    return tls_error("certificate authority of clients", error);
  }
  // Sessions of clients that were verified need a name to be resumed under.
  constexpr unsigned char kSession[] = "llmd";
  SSL_CTX_set_session_id_context(native, kSession, sizeof(kSession) - 1);
  return {};
}

}  // namespace

Result<void> TlsServerContext::reload() {
  if (certificate_.empty()) {
    return {};
  }
  auto context = make_server_context();
  async::ErrorCode error;
  context->use_certificate_chain_file(certificate_.string(), error);
  if (error) {
    return tls_error(certificate_.string(), error);
  }
  context->use_private_key_file(key_.string(), asio::ssl::context::pem, error);
  if (error) {
    return tls_error(key_.string(), error);
  }
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return invalid_argument("{}: does not belong to the certificate in {}", key_.string(),
                            certificate_.string());
  }
  LLMD_TRY_VOID(obey(*context, policy_));
  current_.store(std::move(context));
  return {};
}

Result<std::shared_ptr<asio::ssl::context>> make_server_context(const std::string& certificate,
                                                                const std::string& key) {
  auto context = make_server_context();
  LLMD_TRY_VOID(use_certificate(*context, certificate, key));
  return context;
}

Result<std::shared_ptr<TlsServer>> TlsServerContext::from_pem(const std::string& certificate,
                                                              const std::string& key,
                                                              const TlsServerPolicy& policy) {
  LLMD_TRY(auto context, net::make_server_context(certificate, key));
  LLMD_TRY_VOID(obey(*context, policy));
  auto server = std::make_shared<TlsServerContext>(std::filesystem::path(), std::filesystem::path());
  server->current_.store(std::move(context));
  return server;
}

Result<std::shared_ptr<TlsServer>> tls_server_from_pem(const std::string& certificate,
                                                       const std::string& key) {
  return TlsServerContext::from_pem(certificate, key);
}

Result<std::shared_ptr<TlsServer>> tls_server_from_pem(const std::string& certificate, const std::string& key,
                                                       TlsServerPolicy policy) {
  return TlsServerContext::from_pem(certificate, key, policy);
}

Result<std::shared_ptr<TlsServer>> tls_server_from_files(const std::filesystem::path& certificate,
                                                         const std::filesystem::path& key,
                                                         TlsServerPolicy policy) {
  auto server = std::make_shared<TlsServerContext>(certificate, key, std::move(policy));
  LLMD_TRY_VOID(server->reload());
  return server;
}

Result<std::string> cipher_list(std::span<const std::string_view> suites) {
  asio::ssl::context all(asio::ssl::context::tls_server);
  SSL_CTX_set_security_level(all.native_handle(), 0);
  SSL_CTX_set_cipher_list(all.native_handle(), "ALL:COMPLEMENTOFALL:eNULL");
  const auto* known = SSL_CTX_get_ciphers(all.native_handle());
  std::string list;
  for (const std::string_view suite : suites) {
    const bool shortened = suite.ends_with("_CHACHA20_POLY1305");  // Go's older name
    const std::string wanted = std::string(suite) + (shortened ? "_SHA256" : "");
    const SSL_CIPHER* found = nullptr;
    for (int i = 0; i < sk_SSL_CIPHER_num(known); ++i) {
      const SSL_CIPHER* each = sk_SSL_CIPHER_value(known, i);
      const char* name = SSL_CIPHER_standard_name(each);
      found = name != nullptr && wanted == name ? each : found;
    }
    if (found == nullptr) {
      return invalid_argument("unknown cipher suite '{}'", suite);
    }
    if (std::string_view(SSL_CIPHER_get_version(found)) != "TLSv1.3") {
      list += (list.empty() ? "" : ":") + std::string(SSL_CIPHER_get_name(found));
    }
  }
  return list;
}

Result<std::shared_ptr<TlsClient>> make_tls_client(const TlsClientOptions& options) {
  LLMD_TRY(auto client, make_client(options.http2, options.verify));
  async::ErrorCode error;
  if (!options.ca_pem.empty()) {
    client->context.add_certificate_authority(asio::buffer(options.ca_pem), error);
  } else if (options.verify) {
    client->context.set_default_verify_paths(error);
  }
  if (error) {
    return tls_error("trusted certificates", error);
  }
  if (!options.certificate_pem.empty()) {
    LLMD_TRY_VOID(use_certificate(client->context, options.certificate_pem, options.key_pem));
  }
  client->server_name = options.server_name;
  return client;
}

Result<std::shared_ptr<TlsServer>> TlsServer::from_files(const std::filesystem::path& certificate,
                                                         const std::filesystem::path& key) {
  auto server = std::make_shared<TlsServerContext>(certificate, key);
  LLMD_TRY_VOID(server->reload());
  return server;
}

Result<std::shared_ptr<TlsClient>> TlsClient::system_trust() {
  LLMD_TRY(auto client, make_client());
  async::ErrorCode error;
  client->context.set_default_verify_paths(error);
  if (error) {
    return tls_error("the system's trusted certificates", error);
  }
  return client;
}

Result<std::shared_ptr<TlsClient>> TlsClient::from_ca_pem(const std::string& pem) {
  LLMD_TRY(auto client, make_client());
  async::ErrorCode error;
  client->context.add_certificate_authority(asio::buffer(pem), error);
  if (error) {
    return tls_error("certificate authority", error);
  }
  return client;
}

}  // namespace llmd::net
