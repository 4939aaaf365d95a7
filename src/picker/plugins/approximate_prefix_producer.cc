#include "picker/plugins/approximate_prefix_producer.h"

#include <algorithm>

#include "async/snapshot.h"
#include "base/log.h"
#include "kvcache/block_hash.h"
#include "kvcache/prefix_check.h"
#include "kvcache/prefix_index.h"
#include "picker/chain_inserter.h"
#include "picker/check_state.h"
#include "picker/dumped_endpoints.h"
#include "picker/metrics/page.h"
#include "picker/per_thread.h"

namespace llmd::picker {
namespace {

struct ApproximateOptions {
  bool auto_tune = true;
  std::int64_t block_tokens = 64;
  std::int64_t max_tokens = 131072;
  std::int64_t max_blocks = 2048;
  std::int64_t capacity = 31250;
};

constexpr std::int64_t kLeastTunedBlock = 64;

class ApproximatePrefixProducer final : public Producer,
                                        public RequestHook,
                                        public EndpointWatcher,
                                        public Inspectable,
                                        public Measured {
 public:
  ApproximatePrefixProducer(ApproximateOptions options, PrefixColumns columns)
      : options_(options), columns_(columns), inserter_(index_) {}

  void produce(Cycle& cycle) const override {
    Chain& chain = this->chain();
    build_chain(cycle, chain);
    if (chain.hashes.empty()) {
      return;
    }
    cycle.set_scalar(columns_.total, static_cast<float>(chain.hashes.size()));
    cycle.set_scalar(columns_.block_tokens, static_cast<float>(chain.block_tokens));
    chain.matches.resize(index_.slots());
    index_.match(chain.hashes, chain.matches);
    const auto handles = handles_.load();
    const auto matched = cycle.fill(columns_.matched);
    const auto cached = cycle.fill(columns_.cached);
    for (const Row row : cycle.candidates()) {
      const std::uint32_t id = cycle.endpoint(row).id;
      const std::size_t slot = id < handles->slots.size() ? handles->slots[id] : kNoSlot;
      // Most endpoints have nothing of the prompt; what else is known of them is not even looked at.
      if (slot < chain.matches.size() && chain.matches[slot] > 0 &&
          !restarted(*handles->known[id], cycle.endpoint(row))) {
        cached[row] = static_cast<float>(chain.matches[slot]);
        matched[row] = check_.distrusts(slot) ? 0 : cached[row];
      }
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision&) const override {
    Chain& chain = this->chain();
    if (chain.hashes.empty()) {
      return;
    }
    const auto handles = handles_.load();
    if (stages.prefill) {
      Chain same = chain;
      learn(cycle, *handles, *stages.prefill, same);
    }
    learn(cycle, *handles, stages.primary.front(), chain);
  }

  void completed(Decision& decision, const Completion& completion) const override {
    if (!decision.lease) {
      return;
    }
    const EndpointState& endpoint = *decision.lease.endpoint();
    const auto handles = handles_.load();
    const Known* const known = handles->find(endpoint.id);
    if (known == nullptr) {
      return;
    }
    if (decision.predicted_cached_tokens < 0 || !completion.usage.cached_tokens) {
      return;
    }
    const kvcache::EndpointHandle handle = known->handle;
    const auto tokens = [](std::int64_t count) {
      return static_cast<std::uint32_t>(std::max<std::int64_t>(count, 0));
    };
    const std::int64_t prompt = completion.usage.prompt_tokens.value_or(decision.memory.prompt_tokens);
    // What lies behind the limit is cached without having been foreseen.
    const std::int64_t visible = known->visible.load(std::memory_order_relaxed);
    // Predictions count text in fours of bytes; an engine cannot have cached more than its own count.
    const auto action =
        check_.record(handle.slot, {.prompt_tokens = tokens(prompt),
                                    .predicted = tokens(std::min(decision.predicted_cached_tokens, prompt)),
                                    .reported = tokens(std::min(*completion.usage.cached_tokens, visible))});
    if (action == kvcache::PrefixCheck::Action::Heal) {
      log::warning("an endpoint's cache is not what was sent to it; its prefixes are forgotten",
                   {{"endpoint", endpoint.full_name}});
      inserter_.flush();
      index_.clear(handle);
    }
  }

  void endpoints_changed(const EndpointSnapshot& snapshot) const override {
    const auto before = handles_.load();
    auto next = std::make_shared<Handles>();
    for (const EndpointPtr& endpoint : snapshot.endpoints) {
      if (next->known.size() <= endpoint->id) {
        next->known.resize(endpoint->id + 1);
        next->slots.resize(endpoint->id + 1, kNoSlot);
      }
      auto& known = next->known[endpoint->id];
      if (const Known* const same = before->find(endpoint->id); same && same->endpoint == endpoint.get()) {
        known = before->known[endpoint->id];
      } else if (const auto handle = index_.add_endpoint(static_cast<std::size_t>(options_.capacity))) {
        known = std::make_shared<Known>(*handle, endpoint.get(), endpoint->full_name);
      }
      next->slots[endpoint->id] = known ? known->handle.slot : kNoSlot;
    }
    for (std::size_t id = 0; id < before->known.size(); ++id) {
      if (const Known* const old = before->find(id); old != nullptr && next->find(id) != old) {
        index_.remove_endpoint(old->handle);
        check_.forget(old->handle.slot);
      }
    }
    handles_.store(std::move(next));
  }

  void write(Page& page) const override {
    write_check(page, *this, check_);
    constexpr std::string_view kHelp = "Blocks that are remembered, summed over endpoints.";
    const auto entries = static_cast<double>(index_.stats().entries);
    page.gauge("llm_d_epp_prefix_indexer_size", kHelp, {{"plugin_name", name}, {"plugin_type", type}},
               entries);
    page.gauge("inference_extension_prefix_indexer_size", kHelp, {}, entries);
  }

  json::Value state() const override {
    inserter_.flush();  // what was decided until now is in it
    const auto stats = index_.stats();
    json::Object endpoints;
    const auto handles = handles_.load();
    for (const auto& known : handles->known) {
      if (known && endpoints.size() < kMostDumped) {
        endpoints[known->name] = check_state(check_.stats(known->handle.slot));
      }
    }
    return json::Value{{"blocks", stats.blocks},
                       {"entries", stats.entries},
                       {"memoryBytes", stats.memory_bytes},
                       {"evictions", stats.evictions},
                       {"predictions", std::move(endpoints)}};
  }

 private:
  struct Known {
    Known(kvcache::EndpointHandle handle_, const EndpointState* endpoint_, std::string name_)
        : handle(handle_),
          endpoint(endpoint_),
          name(std::move(name_)),
          contact_changes(endpoint_->contact_changes()) {}
    const kvcache::EndpointHandle handle;
    const EndpointState* const endpoint;  // only compared
    const std::string name;
    std::atomic<std::int64_t> capacity{0};
    std::atomic<std::uint32_t> contact_changes;
    std::atomic<std::int64_t> visible{INT64_MAX};  // tokens: longer prompts are looked at up to here
  };
  static constexpr std::uint16_t kNoSlot = 0xffff;
  // By endpoint id. The slots of the index stand by themselves because every decision reads all of them.
  struct Handles {
    std::vector<std::shared_ptr<Known>> known;
    std::vector<std::uint16_t> slots;
    Known* find(std::size_t id) const { return id < known.size() ? known[id].get() : nullptr; }
  };
  struct Chain {
    std::vector<kvcache::BlockHash> hashes;
    std::vector<std::uint32_t> matches;
    std::int64_t block_tokens = 0;
  };

  // Between produce() and dispatched() of one decision, which run on one thread.
  Chain& chain() const { return chains_.mine(); }

  void build_chain(const Cycle& cycle, Chain& chain) const {
    const Request& request = cycle.request();
    chain.block_tokens = options_.block_tokens;
    if (options_.auto_tune && !cycle.candidates().empty()) {
      const auto reported = static_cast<std::int64_t>(cycle.at(kBlockTokens, cycle.candidates().front()));
      chain.block_tokens = reported > 0 ? std::max(reported, kLeastTunedBlock) : chain.block_tokens;
    }
    const std::size_t most = most_blocks(chain.block_tokens);
    const auto seed = kvcache::approximate_seed(request.target(), request.cache_salt);
    if (!request.tokens.empty()) {
      const auto block = static_cast<std::size_t>(chain.block_tokens);
      chain.hashes.resize(std::min(most, (request.tokens.size() + block - 1) / block));
      chain.hashes.resize(kvcache::approximate_token_chain(seed, request.tokens, block, chain.hashes));
      return;
    }
    const auto units = static_cast<std::size_t>(chain.block_tokens) / kUnitTokens;
    chain.hashes.resize(std::min(most, (request.prompt_units.size() + units - 1) / units));
    chain.hashes.resize(kvcache::approximate_chain(seed, request.prompt_units, units, chain.hashes));
  }

  std::size_t most_blocks(std::int64_t block_tokens) const {
    if (options_.max_tokens > 0) {
      return static_cast<std::size_t>(std::max<std::int64_t>(options_.max_tokens / block_tokens, 1));
    }
    return options_.max_blocks > 0 ? static_cast<std::size_t>(options_.max_blocks) : SIZE_MAX;
  }

  // What an engine had cached is gone when it was away, and so is what was believed of requests that never
  // reached it.
  bool restarted(Known& known, const EndpointState& endpoint) const {
    const std::uint32_t changes = endpoint.contact_changes();
    if (known.contact_changes.load(std::memory_order_relaxed) == changes) {
      return false;
    }
    if (known.contact_changes.exchange(changes, std::memory_order_relaxed) != changes) {
      inserter_.flush();
      index_.clear(known.handle);
    }
    return true;
  }

  void learn(const Cycle& cycle, const Handles& handles, Row row, Chain& chain) const {
    Known* const found = handles.find(cycle.endpoint(row).id);
    if (found == nullptr) {
      return;
    }
    Known& known = *found;
    restarted(known, cycle.endpoint(row));  // what it had is forgotten before it learns
    if (chain.hashes.size() == most_blocks(chain.block_tokens)) {
      known.visible.store(static_cast<std::int64_t>(chain.hashes.size()) * chain.block_tokens,
                          std::memory_order_relaxed);
    }
    const auto blocks = static_cast<std::int64_t>(cycle.at(kBlocks, row));
    const auto tokens = static_cast<std::int64_t>(cycle.at(kBlockTokens, row));
    if (options_.auto_tune && blocks > 0) {
      const std::int64_t wanted =
          std::max<std::int64_t>(blocks * std::max<std::int64_t>(tokens, 1) / chain.block_tokens, 1);
      if (known.capacity.exchange(wanted, std::memory_order_relaxed) != wanted) {
        index_.set_capacity(known.handle, static_cast<std::size_t>(wanted));
      }
    }
    inserter_.insert(known.handle, chain.hashes);
  }

  const ApproximateOptions options_;
  const PrefixColumns columns_;
  mutable kvcache::PrefixIndex index_{{.max_endpoints = kvcache::kMaxEndpoints}};
  mutable ChainInserter inserter_;
  mutable kvcache::PrefixCheck check_{{.block_size = kUnitTokens, .exact = false}};
  mutable async::Snapshot<Handles> handles_;
  PerThread<Chain> chains_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_approximate_prefix_producer(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  ApproximateOptions options;
  parameters.read("autoTune", options.auto_tune);
  parameters.read("blockSizeTokens", options.block_tokens);
  std::int64_t characters = 0;  // older documents count characters
  parameters.read("blockSize", characters, "hashBlockSize");
  if (!parameters.has("blockSizeTokens") && characters > 0) {
    options.block_tokens = characters / 4;
  }
  if (options.block_tokens <= 0) {
    parameters.reject("blockSizeTokens", "must be positive");
  }
  const auto unit = static_cast<std::int64_t>(kUnitTokens);
  options.block_tokens = std::max(unit, options.block_tokens / unit * unit);
  if (parameters.has("maxPrefixBlocksToMatch") && !parameters.has("maxPrefixTokensToMatch")) {
    options.max_tokens = 0;
  }
  parameters.read("maxPrefixBlocksToMatch", options.max_blocks);
  parameters.read("maxPrefixTokensToMatch", options.max_tokens);
  parameters.read("lruCapacityPerServer", options.capacity);
  for (const auto& [name, number] : {std::pair("maxPrefixBlocksToMatch", options.max_blocks),
                                     std::pair("maxPrefixTokensToMatch", options.max_tokens),
                                     std::pair("lruCapacityPerServer", options.capacity)}) {
    if (number < 0) {
      parameters.reject(name, "must not be negative");
    }
  }
  options.capacity = options.capacity == 0 ? ApproximateOptions().capacity : options.capacity;
  setup.provide("prefix");
  return std::make_unique<ApproximatePrefixProducer>(options, setup.prefix_columns(setup.plugin_name));
}

}  // namespace llmd::picker
