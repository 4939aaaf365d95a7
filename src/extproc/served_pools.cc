#include "extproc/served_pools.h"

#include <set>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "picker/plan.h"

namespace llmd::extproc {
namespace {

constexpr std::size_t kMostConfigBytes = std::size_t{16} << 20;

Task<void> scrape_pool(async::EventLoop& loop, PoolPtr pool, picker::ScrapeOptions options) {
  picker::Scraper scraper(loop, *pool->picker, options);
  co_await scraper.run();
}

}  // namespace

ServedPools::ServedPools(async::EventLoop& loop, ServedPoolsOptions options)
    : loop_(loop), options_(std::move(options)), pools_(std::make_shared<Pools>()), grown_(loop.executor()) {}

ServedPools::~ServedPools() = default;

Result<PoolPtr> ServedPools::find_or_make(const std::string& name, const std::string& config,
                                          const std::filesystem::path& folder) {
  if (const auto known = known_.find(name); known != known_.end()) {
    return known->second;
  }
  picker::PickerOptions picker = options_.picker;
  picker.pool = name;
  std::string text = options_.config_text;
  std::string source = options_.config_name;
  if (!config.empty()) {
    source = (folder / config).string();
    LLMD_TRY(text, read_file(source, kMostConfigBytes));
  }
  LLMD_TRY(auto made, picker::Picker::from_config(text, source, picker));
  LLMD_TRY_VOID(picker::check_sources(made->plan()));
  auto pool = std::make_shared<const Pool>(name, std::shared_ptr<picker::Picker>(std::move(made)));
  pool->set_rules(rules_of(rules_, name));
  known_[name] = pool;
  grown_.set();
  return pool;
}

Result<PoolPtr> ServedPools::add(const std::string& name) {
  LLMD_TRY(PoolPtr pool, find_or_make(name, {}, {}));
  entries_.push_back({.pool = pool});
  pools_->set(entries_);
  return pool;
}

Result<void> ServedPools::apply(const picker::EndpointsFile& file, const std::filesystem::path& folder) {
  std::vector<picker::PoolEntry> wanted = file.pools;
  const auto nameless = file.endpoints.find("");
  if (wanted.empty() || nameless != file.endpoints.end()) {
    wanted.push_back({.name = options_.default_name, .is_default = true});
  }
  std::vector<Pools::Entry> entries;
  for (const picker::PoolEntry& each : wanted) {
    LLMD_TRY(PoolPtr pool, find_or_make(each.name, each.config, folder));
    entries.push_back({pool, each.models, each.hosts, each.is_default});
  }
  std::set<std::string> listed;
  for (const Pools::Entry& entry : entries) {
    const std::string& name = entry.pool->name;
    auto found = file.endpoints.find(name);
    found = found == file.endpoints.end() && name == options_.default_name ? nameless : found;
    entry.pool->picker->update(found == file.endpoints.end() ? std::vector<picker::Endpoint>()
                                                             : found->second);
    listed.insert(name);
  }
  for (const auto& [name, pool] : known_) {
    if (!listed.contains(name)) {
      pool->picker->update({});
    }
  }
  entries_ = std::move(entries);
  pools_->set(entries_);
  return {};
}

void ServedPools::set_rules(std::vector<RuleObject> objects) {
  rules_ = std::move(objects);
  for (const auto& [name, pool] : known_) {
    pool->set_rules(rules_of(rules_, name));
  }
}

Task<void> ServedPools::scrape() {
  co_await async::with_scope(loop_.executor(), [this](async::Scope& scope) -> Task<void> {
    std::set<PoolPtr> scraped;
    while (true) {
      grown_.reset();
      for (const auto& [name, pool] : known_) {
        if (scraped.insert(pool).second) {
          scope.spawn("scraper", scrape_pool(loop_, pool, options_.scrape));
        }
      }
      co_await grown_.wait();
    }
  });
}

void ServedPools::shut_down() {
  for (const auto& [name, pool] : known_) {
    pool->picker->shut_down();
  }
}

}  // namespace llmd::extproc
