// `llmd logs POD`: the log of one container.
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "cli/api_call.h"
#include "cli/options.h"
#include "http/message.h"
#include "kube/resource.h"

namespace llmd::cli {

Result<int> run_logs(Arguments arguments) {
  std::string pod;
  std::string container;
  std::string name_space = "default";
  std::string data;
  bool follow = false;
  bool previous = false;
  int tail = -1;
  Options command_line("llmd logs", "Prints the log of a pod's container.");
  command_line.positional("POD", pod, "`llmd get pods` lists them").required();
  command_line.add("-c,--container", container, "which container, when there are several");
  command_line.add("-n,--namespace", name_space, "of the pod");
  command_line.add("-f,--follow", follow, "go on as the log grows");
  command_line.add("-p,--previous", previous, "the log before the last restart");
  command_line.add("--tail", tail, "only this many last lines");
  command_line.add("--data", data, "data directory of the llmd up");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  if (pod.starts_with("pod/") || pod.starts_with("pods/")) {
    pod.erase(0, pod.find('/') + 1);
  }
  if (pod.find('/') != std::string::npos) {
    return invalid_argument("'{}' is no pod's name", pod).hint("`llmd get pods` lists them");
  }
  std::string target = kube::kPods.path(name_space, pod) + "/log?";
  target += container.empty() ? "" : "container=" + http::percent_encode(container) + "&";
  target += follow ? "follow=true&" : "";
  target += previous ? "previous=true&" : "";
  target += tail >= 0 ? fmt::format("tailLines={}", tail) : "";
  async::EventLoop loop;
  LLMD_TRY(auto api, ApiCall::open(loop, data));
  int refused = 0;  // by standard output: why
  LLMD_TRY_VOID(loop.block_on(api.stream(target, [&refused](std::string_view bytes) {
    const bool taken =
        std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
    refused = taken ? 0 : errno;
    return taken;
  })));
  if (refused != 0) {
    throw std::system_error(refused, std::generic_category());  // as printing does
  }
  return 0;
}

}  // namespace llmd::cli
