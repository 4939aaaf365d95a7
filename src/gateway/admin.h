// The admin API, on a listener of its own: what operators ask of a running gateway.
//
//   GET    /healthz, /metrics               open to everybody who reaches the listener
//   everything else needs "Authorization: Bearer TOKEN", the token from a file with mode 0600
//   GET    /admin/api/routing               every model, who serves it and how
//   POST   /admin/api/routing               routes a model by hand: 201 new, 200 replaced, 400, 403, 409
//   DELETE /admin/api/routing?model=&owned_by=   204, 404
//   POST   /admin/discover                  asks every backend for its models now
//   GET    /admin/connections               running requests
//   GET    /admin/explain?request_id= | ?last=N   why a request went where it went
//   GET, PUT /admin/log-level               {"level": "debug"}
//   GET, POST /admin/drain                  no new connections; running answers finish
//
// One loop, the gateway's. Mistakes are answered in OpenAI's error shape.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "gateway/config_map_routes.h"
#include "gateway/gateway.h"
#include "net/address.h"

namespace llmd::gateway {

struct AdminOptions {
  std::filesystem::path token_file;    // made if it does not exist; others may not read it
  std::filesystem::path routing_file;  // entries made by hand; empty: they end with the process
  // Keeps them instead, for all replicas. Outlives the admin API; somebody else runs it, afterwards.
  ConfigMapRoutes* shared_routes = nullptr;
  std::function<void()> begin_drain;  // empty: POST /admin/drain is 501
};

class Admin {
 public:
  // Reads or makes the token, reads the entries. The gateway outlives it.
  static Result<std::unique_ptr<Admin>> create(async::EventLoop& loop, Gateway& gateway,
                                               AdminOptions options);
  ~Admin();

  Result<net::Address> listen(const net::Address& address);
  // Serves until cancelled.
  Task<void> run();

 private:
  Admin();
  struct State;
  std::unique_ptr<State> state_;
};

// The secret in the file; a new one if there is no file. PermissionDenied: the group or others may read it.
Result<std::string> read_or_make_token(const std::filesystem::path& path);

}  // namespace llmd::gateway
