// What `llmd gateway` and its admin API are told beside routes: GatewayConfiguration, data directory, admin.
#pragma once

#include <memory>
#include <string>

#include "cli/options.h"
#include "gateway/admin.h"
#include "gateway/gateway.h"

namespace llmd::cli {

struct GatewaySettings {
  std::string config;  // file; empty: defaults
  std::string data;
  std::string admin;  // HOST:PORT or "none"; empty: as configured

  // `--admin` and the option for the configuration, under this name; `data` is the caller's.
  void describe(Options& command_line, const std::string& config_option);
  Result<gateway::GatewayConfiguration> read() const;
};

// The admin API, listening. Null: none is wanted, or the default address or data directory cannot be used
// (logged): a gateway that serves is worth more. `begin_drain` is called once, on the loop. `shared_routes`
// keeps entries made by hand instead of the data directory and outlives the admin API; may be null.
Result<std::unique_ptr<gateway::Admin>> open_admin(async::EventLoop& loop, gateway::Gateway& gateway,
                                                   const GatewaySettings& settings,
                                                   std::function<void()> begin_drain,
                                                   gateway::ConfigMapRoutes* shared_routes = nullptr);

}  // namespace llmd::cli
