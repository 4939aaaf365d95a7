// A Kubernetes API server for one machine: discovery, OpenAPI, objects with watch and server-side apply,
// tables, logs; stored in one SQLite file. An answered write is on disk.
//
//   LLMD_TRY(auto server, ApiServer::create(loop, {.data_directory = dir, .bearer_token = token}));
//   LLMD_TRY(auto address, server->listen());
//   co_await server->run();     // until cancelled
//
// One loop, plus one thread for SQLite. The token is compared in constant time and never logged; whoever has
// it may do everything.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "base/clock.h"
#include "net/address.h"

namespace llmd::apiserver {

struct Options {
  std::filesystem::path data_directory;     // made when absent; holds apiserver.db
  net::Address address{"127.0.0.1", 6443};  // port 0: a free one
  std::filesystem::path certificate;        // PEM files; both empty: plain HTTP, for tests and loopback only
  std::filesystem::path key;
  std::string bearer_token;   // required
  bool allow_remote = false;  // listening on other than loopback needs this and TLS
  const Clock* clock = &system_clock();
};

class ApiServer {
 public:
  static Result<std::unique_ptr<ApiServer>> create(async::EventLoop& loop, Options options);
  virtual ~ApiServer() = default;

  virtual Result<net::Address> listen() = 0;
  // Serves until cancelled. At the first start the namespaces default and kube-system are made.
  virtual Task<void> run() = 0;
};

// A kubeconfig with one context "llmd", readable by the user only. An empty `ca_pem` means plain HTTP.
Result<void> write_kubeconfig(const std::filesystem::path& path, const net::Address& address,
                              const std::string& ca_pem, const std::string& token);

}  // namespace llmd::apiserver
