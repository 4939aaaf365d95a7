// The arguments of `llmd up`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/gateway_settings.h"

namespace llmd::cli {

struct UpOptions {
  std::vector<std::string> files;
  std::string data;                // empty: $XDG_STATE_HOME/llmd
  std::string host = "127.0.0.1";  // of gateway and API server
  std::uint16_t port = 8080;       // gateway; 0: any
  std::uint16_t api_port = 6443;   // API server; 0: any
  GatewaySettings gateway;
  int shutdown_seconds = 10;  // what engines get between SIGTERM and SIGKILL
};

// nullopt: help was asked for and printed.
Result<std::optional<UpOptions>> parse_up_options(Arguments arguments);

}  // namespace llmd::cli
