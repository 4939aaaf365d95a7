#include "cli/up_options.h"

#include "cli/options.h"

namespace llmd::cli {

Result<std::optional<UpOptions>> parse_up_options(Arguments arguments) {
  UpOptions options;
  Options command_line(
      "llmd up",
      "Serves the manifests on this machine until Ctrl-C. kubectl works with the kubeconfig it writes.");
  command_line.positional("FILE", options.files, "manifests, folders of them, or - for standard input");
  command_line.add("--data", options.data, "folder of state, logs and models; default: $XDG_STATE_HOME/llmd");
  command_line.add("--host", options.host, "IP address of gateway and API server");
  command_line.add("--port", options.port, "port of the gateway; 0 takes a free one");
  options.gateway.describe(command_line, "--gateway-config");
  command_line.add("--api-port", options.api_port, "port of the API server; 0 takes a free one");
  command_line
      .add("--shutdown-timeout", options.shutdown_seconds,
           "seconds that engines get to end before they are killed")
      .between(0, 600);
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  return go_on ? std::optional(options) : std::nullopt;
}

}  // namespace llmd::cli
