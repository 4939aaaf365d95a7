// `llmd logs POD`: the log of one container.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "cli/api_call.h"
#include "cli/parse.h"
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
  CLI::App app("Prints the log of a pod's container.", "llmd logs");
  app.add_option("POD", pod, "`llmd get pods` lists them")->required();
  app.add_option("-c,--container", container, "which container, when there are several");
  app.add_option("-n,--namespace", name_space)->capture_default_str();
  app.add_flag("-f,--follow", follow, "go on as the log grows");
  app.add_flag("-p,--previous", previous, "the log before the last restart");
  app.add_option("--tail", tail, "only this many last lines");
  app.add_option("--data", data, "data directory of the llmd up");
  LLMD_TRY(const bool go_on, parse(app, arguments));
  if (!go_on) {
    return 0;
  }
  std::string target = kube::kPods.path(name_space, pod) + "/log?";
  target += container.empty() ? "" : "container=" + http::percent_encode(container) + "&";
  target += follow ? "follow=true&" : "";
  target += previous ? "previous=true&" : "";
  target += tail >= 0 ? fmt::format("tailLines={}", tail) : "";
  async::EventLoop loop;
  LLMD_TRY(auto api, ApiCall::open(loop, data));
  LLMD_TRY_VOID(loop.block_on(api.stream(target, [](std::string_view bytes) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  })));
  return 0;
}

}  // namespace llmd::cli
