#include "node/survivors.h"

#include <csignal>

#include "base/log.h"
#include "node/shim.h"
#include "process/process.h"

namespace llmd::node {
namespace {

using Shims = std::vector<std::unique_ptr<process::Process>>;

Shims living_shims(async::EventLoop& loop, const PodFolder& folder) {
  constexpr std::string_view kSuffix = ".run.json";
  Shims shims;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder.run(), error)) {
    std::string name = entry.path().filename().string();
    if (!name.ends_with(kSuffix)) {
      continue;
    }
    name.resize(name.size() - kSuffix.size());
    const auto record = read_run_record(folder, name);
    if (!record || !*record) {
      continue;
    }
    if (auto shim = process::Process::adopt(loop, (*record)->shim, (*record)->shim_start_time)) {
      log::info("ending a program nobody holds",
                {{"pod", folder.root().filename().string()}, {"container", name}});
      shims.push_back(std::move(*shim));
    }
  }
  return shims;
}

Task<void> until_ended(process::Process& shim) {
  [[maybe_unused]] const auto status = co_await shim.wait();
}

}  // namespace

Task<void> end_survivors(async::EventLoop& loop, PodFolder folder, async::Deadline deadline) {
  const Shims shims = living_shims(loop, folder);
  for (const auto& shim : shims) {
    [[maybe_unused]] const auto asked = shim->signal(SIGTERM);
  }
  for (const auto& shim : shims) {
    const bool ended = co_await async::finishes_by(deadline, until_ended(*shim));
    if (!ended) {
      [[maybe_unused]] const auto killed = shim->signal(SIGUSR1);
      co_await until_ended(*shim);
    }
  }
}

}  // namespace llmd::node
