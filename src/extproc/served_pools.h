// The pools of a program while it runs: each with its picker, its endpoints, its rules, and a scraper that
// asks its endpoints for their numbers. Pools come from an endpoints file, or one by one. One loop.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/event.h"
#include "async/event_loop.h"
#include "extproc/pools.h"
#include "picker/datalayer/endpoints_file.h"
#include "picker/datalayer/scraper.h"

namespace llmd::extproc {

struct ServedPoolsOptions {
  std::string default_name = "default";  // of endpoints that name no pool
  std::string config_text;               // of pools without a configuration of their own
  std::string config_name;               // for messages
  picker::PickerOptions picker;
  picker::ScrapeOptions scrape;
};

class ServedPools {
 public:
  ServedPools(async::EventLoop& loop, ServedPoolsOptions options);
  ~ServedPools();

  // Pools come, change and go as the file says; `folder` is where configurations are looked for. A pool that
  // has gone gets no requests; should it come back, it remembers what it knew. An error changes nothing.
  Result<void> apply(const picker::EndpointsFile& file, const std::filesystem::path& folder);
  // A pool that gets what its name, its endpoints' models and its rules ask for.
  Result<PoolPtr> add(const std::string& name);
  // Objectives and rewrites of a file; pools that come later get theirs.
  void set_rules(std::vector<RuleObject> objects);

  const std::shared_ptr<Pools>& pools() const { return pools_; }
  Task<void> scrape();  // all of them, until cancelled
  void shut_down();     // what waits in flow control is rejected

 private:
  Result<PoolPtr> find_or_make(const std::string& name, const std::string& config,
                               const std::filesystem::path& folder);

  async::EventLoop& loop_;
  const ServedPoolsOptions options_;
  const std::shared_ptr<Pools> pools_;
  std::vector<Pools::Entry> entries_;
  std::map<std::string, PoolPtr> known_;  // also those that have gone
  std::vector<RuleObject> rules_;
  async::Event grown_;
};

}  // namespace llmd::extproc
