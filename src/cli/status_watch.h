// Follows services and pods through the API server and draws them.
#pragma once

#include <filesystem>

#include "async/event.h"
#include "cli/live_status.h"
#include "kube/client.h"
#include "kube/informer.h"

namespace llmd::cli {

class StatusWatch {
 public:
  // `data` is the data directory, where the logs of fetches are.
  StatusWatch(async::EventLoop& loop, kube::Client& client, std::filesystem::path data);

  // Draws until every service is ready (true) or a cancellation. Redraws on changes, and twice a second while
  // a model is being fetched.
  Task<void> until_ready();
  // Draws changes for ever.
  Task<void> follow();
  // What to tell the user in the end: URL and a curl for every service.
  std::string summary() const;

  // To be spawned before the above.
  Task<void> run_services() { return services_.run(); }
  Task<void> run_pods() { return pods_.run(); }

 private:
  bool draw();  // true when all services are ready
  std::string progress_of(const kube::Object& pod) const;

  std::filesystem::path data_;
  LiveStatus status_;
  kube::Informer services_;
  kube::Informer pods_;
  async::Event changed_;
  bool fetching_ = false;
};

}  // namespace llmd::cli
