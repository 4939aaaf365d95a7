// Asks the endpoints of pickers for their numbers, for those whose configuration decides by them. Private to
// gateway; the gateway's own loop.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "async/scope.h"
#include "picker/picker.h"

namespace llmd::gateway {

class PoolScrapers {
 public:
  explicit PoolScrapers(async::EventLoop& loop) : loop_(loop) {}

  // The endpoints of these pickers are asked from now on, those of others no longer.
  void set(const std::map<std::string, std::shared_ptr<const picker::Picker>, std::less<>>& pickers);
  // Until cancelled.
  Task<void> run();

 private:
  struct Scraped;
  void start(const std::shared_ptr<Scraped>& scraped);
  static Task<void> scrape(std::shared_ptr<Scraped> scraped);

  async::EventLoop& loop_;
  async::Scope* scope_ = nullptr;  // of run(), while it runs
  std::map<std::string, std::shared_ptr<Scraped>> scraped_;
};

}  // namespace llmd::gateway
