// TLS contexts. Safe defaults (TLS 1.2 and newer); ALPN "http/1.1".
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace llmd::net {

// Certificate and key of a server. reload() swaps them for new connections; safe from any thread.
class TlsServer {
 public:
  static Result<std::shared_ptr<TlsServer>> from_files(const std::filesystem::path& certificate,
                                                       const std::filesystem::path& key);
  virtual ~TlsServer() = default;
  virtual Result<void> reload() = 0;
};

// Which servers a client trusts.
class TlsClient {
 public:
  static Result<std::shared_ptr<TlsClient>> system_trust();
  static Result<std::shared_ptr<TlsClient>> from_ca_pem(const std::string& pem);
  virtual ~TlsClient() = default;
};

}  // namespace llmd::net
