// Less usual TLS contexts: certificates that are in no file, peers that are not verified, HTTP/2.
#pragma once

#include <memory>
#include <string>

#include "net/tls.h"

namespace llmd::net {

// A server whose certificate exists in memory only; reload() changes nothing.
Result<std::shared_ptr<TlsServer>> tls_server_from_pem(const std::string& certificate,
                                                       const std::string& key);

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
