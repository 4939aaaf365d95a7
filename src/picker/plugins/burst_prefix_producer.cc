#include "picker/plugins/burst_prefix_producer.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "kvcache/block_hash.h"

namespace llmd::picker {
namespace {

struct BurstOptions {
  Duration window = std::chrono::milliseconds(100);
  std::int64_t most = -1;
  std::int64_t block_tokens = 64;
  std::int64_t max_tokens = 0;
  std::int64_t least_blocks = 0;
  std::int64_t batch = 1000;
  bool by_tokens = false;
};

class BurstPrefixProducer final : public Producer, public RequestHook {
 public:
  BurstPrefixProducer(BurstOptions options, PrefixColumns columns) : options_(options), columns_(columns) {}

  void produce(Cycle& cycle) const override {
    auto& chain = this->chain();
    build(cycle.request(), chain);
    if (chain.empty()) {
      return;
    }
    cycle.set_scalar(columns_.total, static_cast<float>(chain.size()));
    cycle.set_scalar(columns_.block_tokens, static_cast<float>(options_.block_tokens));
    const std::lock_guard lock(mutex_);
    roll(cycle.now());
    const auto least = static_cast<std::size_t>(options_.least_blocks);
    const std::size_t shared = least == 0 ? chain.size() : std::min(least, chain.size());
    const auto group = groups_.find(chain[shared - 1]);
    const std::string* endpoint = group != groups_.end() ? &group->second : nullptr;
    if (endpoint == nullptr || is_full(*endpoint, cycle.candidates().size())) {
      return;
    }
    const auto matched = cycle.fill(columns_.matched);
    const auto cached = cycle.fill(columns_.cached);
    for (const Row row : cycle.candidates()) {
      if (cycle.endpoint(row).full_name == *endpoint) {
        matched[row] = cached[row] = static_cast<float>(chain.size());
      }
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision&) const override {
    const auto& chain = this->chain();
    if (chain.empty()) {
      return;
    }
    const std::lock_guard lock(mutex_);
    const std::string& endpoint = cycle.endpoint(stages.primary.front()).full_name;
    const std::int64_t weight = options_.by_tokens ? cycle.request().prompt_tokens() : 1;
    taken_[endpoint] += weight;
    total_ += weight;
    if (static_cast<std::int64_t>(groups_.size()) < options_.batch || options_.batch < 0) {
      const auto least = static_cast<std::size_t>(options_.least_blocks);
      groups_.try_emplace(chain[(least == 0 ? chain.size() : std::min(least, chain.size())) - 1], endpoint);
    }
  }

 private:
  std::vector<kvcache::BlockHash>& chain() const {
    static thread_local std::vector<kvcache::BlockHash> mine;
    return mine;
  }
  void build(const Request& request, std::vector<kvcache::BlockHash>& chain) const {
    const std::size_t units = static_cast<std::size_t>(options_.block_tokens) / kUnitTokens;
    std::size_t blocks = (request.prompt_units.size() + units - 1) / units;
    if (options_.max_tokens > 0) {
      blocks = std::min(blocks, static_cast<std::size_t>(options_.max_tokens / options_.block_tokens));
    }
    chain.resize(blocks);
    chain.resize(kvcache::approximate_chain(kvcache::approximate_seed(request.target(), request.cache_salt),
                                            request.prompt_units, units, chain));
  }
  void roll(TimePoint now) const {
    if (now - opened_ > options_.window) {
      opened_ = now;
      groups_.clear();
      taken_.clear();
      total_ = 0;
    }
  }
  bool is_full(const std::string& endpoint, std::size_t endpoints) const {
    const auto taken = taken_.find(endpoint);
    const std::int64_t own = taken != taken_.end() ? taken->second : 0;
    const auto n = static_cast<std::int64_t>(endpoints);
    // A share of what came so far, but never less than two of a kind.
    const std::int64_t share = std::max<std::int64_t>((total_ + n) / std::max<std::int64_t>(n, 1), 2);
    return own >= (options_.most > 0 ? options_.most : options_.by_tokens ? total_ + 1 : share);
  }

  const BurstOptions options_;
  const PrefixColumns columns_;
  mutable std::mutex mutex_;
  mutable TimePoint opened_;
  mutable std::map<kvcache::BlockHash, std::string> groups_;
  mutable std::map<std::string, std::int64_t, std::less<>> taken_;
  mutable std::int64_t total_ = 0;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_burst_prefix_producer(PluginSetup& setup) {
  BurstOptions options;
  std::int64_t window = 100;
  int balance = 0;
  Parameters& parameters = setup.parameters;
  parameters.read("windowDurationMs", window);
  parameters.read("maxPerReplica", options.most);
  parameters.read("blockSizeTokens", options.block_tokens);
  parameters.read("maxPrefixTokensToMatch", options.max_tokens);
  parameters.read("minColocateBlocks", options.least_blocks);
  parameters.read("maxBatchSize", options.batch);
  parameters.read_choice("balanceBy", balance, {"requests", "tokens"});
  if (window < 1 || window > 10000) {
    parameters.reject("windowDurationMs", "must be between 1 and 10000");
  }
  if (options.most == 0 || options.most < -1) {
    parameters.reject("maxPerReplica", "must be -1 or at least 1");
  }
  if (options.block_tokens < static_cast<std::int64_t>(kUnitTokens)) {
    parameters.reject("blockSizeTokens", "must be at least 16");
    options.block_tokens = 64;
  }
  if (options.max_tokens != 0 && options.max_tokens < options.block_tokens) {
    parameters.reject("maxPrefixTokensToMatch", "must be 0 or at least a block");
  }
  options.least_blocks = std::max<std::int64_t>(options.least_blocks, 0);
  options.window = std::chrono::milliseconds(window);
  options.by_tokens = balance == 1;
  setup.provide("prefix");
  return std::make_unique<BurstPrefixProducer>(options, setup.prefix_columns(setup.plugin_name));
}

}  // namespace llmd::picker
