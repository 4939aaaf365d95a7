// Less usual TLS contexts: certificates that are in no file, peers that are not verified, HTTP/2.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "net/tls.h"

namespace llmd::net {

// A server whose certificate exists in memory only; reload() changes nothing.
Result<std::shared_ptr<TlsServer>> tls_server_from_pem(const std::string& certificate,
                                                       const std::string& key);

// What a server asks of clients beyond a handshake.
struct TlsServerPolicy {
  enum class Version { Tls10, Tls11, Tls12, Tls13 };
  Version oldest = Version::Tls12;
  // OpenSSL's list for TLS 1.2 and older, as cipher_list() makes it; empty: OpenSSL's own choice.
  std::string ciphers = {};
  // Clients must show a certificate that one of these has signed; empty: nobody is asked.
  std::string client_ca_pem = {};
};
// As TlsServer::from_files and tls_server_from_pem. InvalidArgument for a list without a usable cipher.
Result<std::shared_ptr<TlsServer>> tls_server_from_files(const std::filesystem::path& certificate,
                                                         const std::filesystem::path& key,
                                                         TlsServerPolicy policy);
Result<std::shared_ptr<TlsServer>> tls_server_from_pem(const std::string& certificate, const std::string& key,
                                                       TlsServerPolicy policy);
// "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", as IANA (and Go) call cipher suites, as OpenSSL's list. Suites of
// TLS 1.3 are always on and left out. InvalidArgument names the first unknown one.
Result<std::string> cipher_list(std::span<const std::string_view> suites);

struct TlsClientOptions {
  std::string ca_pem;                // empty: the system's
  bool verify = true;                // false: any certificate will do
  bool http2 = false;                // offers h2 only (ALPN), for HTTP/2 connections; otherwise http/1.1 only
  std::string certificate_pem = {};  // shown to servers that ask who the client is; with key_pem, or neither
  std::string key_pem = {};
  std::string server_name = {};  // in the server's certificate; empty: the name or address connected to
};
Result<std::shared_ptr<TlsClient>> make_tls_client(const TlsClientOptions& options);

}  // namespace llmd::net
