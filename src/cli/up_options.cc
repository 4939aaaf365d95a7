#include "cli/up_options.h"

#include <CLI/CLI.hpp>

#include "cli/parse.h"

namespace llmd::cli {

Result<std::optional<UpOptions>> parse_up_options(Arguments arguments) {
  UpOptions options;
  CLI::App app(
      "Serves the manifests on this machine until Ctrl-C. kubectl works with the kubeconfig it writes.",
      "llmd up");
  app.add_option("FILE", options.files, "manifests, folders of them, or - for standard input");
  app.add_option("--data", options.data, "data directory (default: $XDG_STATE_HOME/llmd)");
  app.add_option("--host", options.host, "address of gateway and API server")->capture_default_str();
  app.add_option("--port", options.port, "port of the gateway; 0 takes a free one")->capture_default_str();
  app.add_option("--api-port", options.api_port, "port of the API server; 0 takes a free one")
      ->capture_default_str();
  app.add_option("--shutdown-timeout", options.shutdown_seconds,
                 "seconds engines get to end before they are killed")
      ->capture_default_str()
      ->check(CLI::Range(0, 600));
  LLMD_TRY(const bool go_on, parse(app, arguments));
  return go_on ? std::optional(options) : std::nullopt;
}

}  // namespace llmd::cli
