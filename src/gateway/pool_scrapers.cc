#include "gateway/pool_scrapers.h"

#include "async/event.h"
#include "picker/datalayer/scraper.h"
#include "picker/plan.h"

namespace llmd::gateway {

struct PoolScrapers::Scraped {
  Scraped(async::EventLoop& loop, std::shared_ptr<const picker::Picker> asked)
      : picker(std::move(asked)), scraper(loop, *picker), stop(loop.executor()) {}
  std::shared_ptr<const picker::Picker> picker;
  picker::Scraper scraper;
  async::Event stop;
};

void PoolScrapers::set(
    const std::map<std::string, std::shared_ptr<const picker::Picker>, std::less<>>& pickers) {
  std::erase_if(scraped_, [&pickers](const auto& entry) {
    const auto found = pickers.find(entry.first);
    const bool gone = found == pickers.end() || found->second != entry.second->picker;
    if (gone) {
      entry.second->stop.set();
    }
    return gone;
  });
  for (const auto& [key, picker] : pickers) {
    if (!picker->plan().polls.empty() && !scraped_.contains(key)) {
      start(scraped_.emplace(key, std::make_shared<Scraped>(loop_, picker)).first->second);
    }
  }
}

void PoolScrapers::start(const std::shared_ptr<Scraped>& scraped) {
  if (scope_ != nullptr) {
    scope_->spawn("scraper", scrape(scraped));
  }
}

Task<void> PoolScrapers::scrape(std::shared_ptr<Scraped> scraped) {
  co_await async::finishes_before(scraped->stop.wait(), scraped->scraper.run());
}

Task<void> PoolScrapers::run() {
  auto body = [this](async::Scope& scope) -> Task<void> {
    struct Running {
      async::Scope*& scope;
      ~Running() { scope = nullptr; }
    } running{scope_ = &scope};
    for (const auto& [key, scraped] : scraped_) {
      start(scraped);
    }
    async::Event never(loop_.executor());
    co_await never.wait();
  };
  co_await async::with_scope(loop_.executor(), body);
}

}  // namespace llmd::gateway
