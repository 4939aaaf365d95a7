#include "picker/plugins/precise_prefix_producer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>

#include "base/log.h"
#include "base/strings.h"
#include "kvcache/kv_follower.h"
#include "kvcache/kv_index.h"
#include "kvcache/prefix_check.h"
#include "picker/check_state.h"
#include "picker/plugins/kv_cache_metrics.h"

namespace llmd::picker {
namespace {

struct PreciseOptions {
  kvcache::KvIndex::Options index;
  kvcache::KvFollower::Options follower;
  bool discover = true;
  bool speculative = false;
  bool metrics = false;
};

class PrecisePrefixProducer : public Producer,
                              public RequestHook,
                              public EndpointWatcher,
                              public Inspectable,
                              public Measured {
 public:
  PrecisePrefixProducer(PreciseOptions options, PrefixColumns columns)
      : columns_(columns),
        options_(std::move(options)),
        index_(options_.index),
        check_({.block_size = options_.index.block_size, .exact = true}) {
    if (options_.discover || !options_.follower.central_endpoint.empty()) {
      options_.follower.port = options_.discover ? options_.follower.port : 0;
      follower_ = std::make_unique<kvcache::KvFollower>(index_, options_.follower);
    }
  }

  void produce(Cycle& cycle) const override {
    const Request& request = cycle.request();
    Match& match = this->match();
    match.keys.clear();
    if (request.tokens.empty()) {
      without_tokens_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const auto keys = index_.keys(request.target());
    const std::size_t block = index_.block_size();
    match.keys.resize(request.tokens.size() / block);
    const std::string_view salt[] = {request.cache_salt};
    const kvcache::BlockExtras extras[] = {salt};
    match.keys.resize(keys.chain(
        keys.init(), request.tokens, block,
        request.cache_salt.empty() ? std::span<const kvcache::BlockExtras>() : extras, match.keys));
    if (match.keys.empty()) {
      return;
    }
    cycle.set_scalar(columns_.total, static_cast<float>(match.keys.size()));
    cycle.set_scalar(columns_.block_tokens, static_cast<float>(block));
    match.blocks.assign(index_.slots(), {});
    index_.match(match.keys, match.blocks);
    lookups_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t most = 0;
    const auto handles = handles_.load();
    const auto matched = cycle.fill(columns_.matched);
    const auto cached = cycle.fill(columns_.cached);
    for (const Row row : cycle.candidates()) {
      const std::uint32_t id = cycle.endpoint(row).id;
      if (id < handles->size() && (*handles)[id] && (*handles)[id]->slot < match.blocks.size()) {
        const std::size_t slot = (*handles)[id]->slot;
        const kvcache::TierMatch& found = match.blocks[slot];
        matched[row] = check_.distrusts(slot) ? 0 : static_cast<float>(std::floor(index_.weighted(found)));
        cached[row] = static_cast<float>(found.blocks);
        most = std::max<std::uint64_t>(most, found.blocks);
      }
    }
    hits_.fetch_add(most, std::memory_order_relaxed);
  }

  void write(Page& page) const override {
    write_check(page, *this, check_);
    if (!options_.metrics) {
      return;
    }
    write_kv_index(page, index_.stats(), {lookups_.load(std::memory_order_relaxed), hits_.load()});
    if (follower_) {
      write_kv_events(page, *follower_, *engines_.load());
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision&) const override {
    const Match& match = this->match();
    if (!options_.speculative || match.keys.empty()) {
      return;
    }
    const auto handles = handles_.load();
    const auto expect = [&](Row row) {
      const std::uint32_t id = cycle.endpoint(row).id;
      if (id < handles->size() && (*handles)[id]) {
        index_.expect(*(*handles)[id], match.keys, cycle.now());
      }
    };
    expect(stages.primary.front());
    if (stages.prefill) {
      expect(*stages.prefill);
    }
  }

  void completed(Decision& decision, const Completion& completion) const override {
    if (!decision.lease) {
      return;
    }
    const EndpointState& endpoint = *decision.lease.endpoint();
    const auto handles = handles_.load();
    if (endpoint.id >= handles->size() || !(*handles)[endpoint.id] || decision.predicted_cached_tokens < 0 ||
        !completion.usage.cached_tokens) {
      return;
    }
    const auto tokens = [](std::int64_t count) {
      return static_cast<std::uint32_t>(std::max<std::int64_t>(count, 0));
    };
    const auto action = check_.record(
        (*handles)[endpoint.id]->slot,
        {.prompt_tokens = tokens(completion.usage.prompt_tokens.value_or(decision.memory.prompt_tokens)),
         .predicted = tokens(decision.predicted_cached_tokens),
         .reported = tokens(*completion.usage.cached_tokens)});
    if (action == kvcache::PrefixCheck::Action::Heal) {
      log::warning("an endpoint's cache is not what its events said; all of it is asked for again",
                   {{"endpoint", endpoint.full_name}});
      follower_->heal(endpoint.destination);
    }
  }

  void endpoints_changed(const EndpointSnapshot& snapshot) const override {
    std::vector<kvcache::KvTarget> targets;
    auto handles = std::make_shared<Handles>();
    auto names = std::make_shared<Slots>();
    auto engines = std::make_shared<Engines>();
    for (const EndpointPtr& endpoint : snapshot.endpoints) {
      targets.push_back({endpoint->destination, endpoint->endpoint.address.host,
                         static_cast<std::uint32_t>(std::max(endpoint->endpoint.rank, 0))});
    }
    if (!follower_) {
      return;
    }
    if (const auto followed = follower_->follow(targets); !followed) {
      log::warning("not every endpoint's cache can be followed", {{"error", followed.error().text()}});
    }
    for (const EndpointPtr& endpoint : snapshot.endpoints) {
      handles->resize(std::max<std::size_t>(handles->size(), endpoint->id + 1));
      const auto handle = follower_->endpoint(endpoint->destination);
      (*handles)[endpoint->id] = handle;
      if (handle) {
        names->emplace(endpoint->full_name, *handle);
        engines->emplace_back(endpoint->full_name, endpoint->destination);
      }
    }
    for (const auto& [endpoint_name, handle] : *names_.load()) {
      const auto still = names->find(endpoint_name);
      if (still == names->end() || still->second != handle) {
        check_.forget(handle.slot);
      }
    }
    handles_.store(std::move(handles));
    names_.store(std::move(names));
    engines_.store(std::move(engines));
  }

  json::Value state() const override {
    const auto stats = index_.stats();
    json::Object checks;
    for (const auto& [name_, handle] : *names_.load()) {
      checks[name_] = check_state(check_.stats(handle.slot));
    }
    json::Object state;
    state["blockSize"] = index_.block_size();
    state["blocks"] = stats.index.blocks;
    state["stored"] = stats.stored;
    state["removed"] = stats.removed;
    state["cleared"] = stats.cleared;
    state["unknownParents"] = stats.unknown_parents;
    state["unaligned"] = stats.unaligned;
    state["requestsWithoutTokens"] = without_tokens_.load(std::memory_order_relaxed);
    state["predictions"] = std::move(checks);
    if (follower_) {
      const auto sources = follower_->stats();
      state["subscriptions"] = sources.subscriptions;
      state["batches"] = sources.sources.batches;
      state["gaps"] = sources.sources.gaps;
      state["restarts"] = sources.sources.restarts;
    }
    return json::Value(std::move(state));
  }

 protected:
  const PrefixColumns columns_;

 private:
  using Handles = std::vector<std::optional<kvcache::EndpointHandle>>;  // by endpoint id
  using Slots = std::map<std::string, kvcache::EndpointHandle, std::less<>>;
  using Engines = std::vector<std::pair<std::string, std::string>>;  // full names and addresses
  struct Match {
    std::vector<kvcache::BlockHash> keys;
    std::vector<kvcache::TierMatch> blocks;
  };

  // Between produce() and dispatched() of one decision, which run on one thread.
  Match& match() const {
    static thread_local std::vector<std::pair<const void*, Match>> matches;
    for (auto& [owner, match] : matches) {
      if (owner == this) {
        return match;
      }
    }
    return matches.emplace_back(this, Match()).second;
  }

  PreciseOptions options_;
  mutable kvcache::KvIndex index_;
  std::unique_ptr<kvcache::KvFollower> follower_;  // null: nobody tells us anything
  mutable async::Snapshot<Handles> handles_;
  mutable async::Snapshot<Slots> names_;
  mutable async::Snapshot<Engines> engines_;
  mutable kvcache::PrefixCheck check_;
  mutable std::atomic<std::uint64_t> without_tokens_{0};
  mutable std::atomic<std::uint64_t> lookups_{0};
  mutable std::atomic<std::uint64_t> hits_{0};  // blocks
};

class PrecisePrefixScorer final : public PrecisePrefixProducer, public Scorer {
 public:
  using PrecisePrefixProducer::PrecisePrefixProducer;
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const double total = cycle.scalar(columns_.total);
    for (std::size_t i = 0; total > 0 && i < rows.size(); ++i) {
      scores[i] = cycle.at(columns_.matched, rows[i]) / total;
    }
  }
};

void read_token_processor(Parameters& from, kvcache::KvIndex::Options& index) {
  std::int64_t block = index.block_size;
  int algorithm = 1;
  from.read("blockSizeTokens", block, "blockSize");
  from.read("hashSeed", index.seed);
  from.read_choice("hashAlgorithm", algorithm, {"cbor-fnv", "xxh64"});
  if (block <= 0 || block > 65536) {
    from.reject("blockSizeTokens", "must be positive");
    return;
  }
  index.block_size = static_cast<std::uint32_t>(block);
  index.algorithm = algorithm == 0 ? kvcache::KeyAlgorithm::CborFnv : kvcache::KeyAlgorithm::Xxh64;
}

void read_indexer(Parameters& from, kvcache::KvIndex::Options& index, bool& metrics) {
  if (from.has("tokenProcessorConfig")) {
    read_token_processor(from.object("tokenProcessorConfig"), index);
  }
  from.accept({"tokenProcessorConfig"});
  from.object("prefixStoreConfig").accept_all();
  from.object("tokenizersPoolConfig").accept_all();
  from.object("kvBlockIndexConfig").read("enableMetrics", metrics);
  from.object("kvBlockIndexConfig").accept_all();
  const auto tiers = from.objects("kvCacheBackendConfigs");
  if (!tiers.empty()) {
    index.tiers.clear();
  }
  for (Parameters* item : tiers) {
    auto& tier = index.tiers.emplace_back();
    item->read("name", tier.name);
    item->read("weight", tier.weight);
    tier.name = to_lower(tier.name);
  }
  if (index.tiers.size() > kvcache::kMaxTiers - 2) {
    from.reject("kvCacheBackendConfigs", "too many tiers");
    index.tiers.resize(kvcache::kMaxTiers - 2);
  }
}

void read_port(Parameters& from, std::string_view name, std::uint16_t& into) {
  int port = into;
  from.read(name, port);
  if (port > 65535) {
    from.reject(name, "must be a port, 1 to 65535");
    port = 0;
  }
  into = static_cast<std::uint16_t>(std::max(port, 0));
}

PreciseOptions read_options(PluginSetup& setup) {
  PreciseOptions options;
  Parameters& parameters = setup.parameters;
  read_indexer(parameters.object("indexerConfig"), options.index, options.metrics);
  if (parameters.has("tokenProcessorConfig")) {
    read_token_processor(parameters.object("tokenProcessorConfig"), options.index);
  }
  parameters.accept({"tokenProcessorConfig", "mode"});
  Parameters& events = parameters.object("kvEventsConfig");
  events.read("zmqEndpoint", options.follower.central_endpoint);
  events.read("topicFilter", options.follower.subscriber.topic_filter);
  events.read("discoverPods", options.discover);
  events.accept({"concurrency", "engineType"});
  Parameters& discovery = events.object("podDiscoveryConfig");
  discovery.accept({"podLabelSelector", "podNamespace"});
  read_port(discovery, "socketPort", options.follower.port);
  read_port(discovery, "replaySocketPort", options.follower.replay_port);
  parameters.read("speculativeIndexing", options.speculative);
  Duration ttl = options.index.speculative_ttl;
  parameters.read("speculativeTTL", ttl);
  options.index.speculative_ttl = ttl;
  options.index.max_endpoints = kvcache::kMaxEndpoints;
  return options;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_precise_prefix_producer(PluginSetup& setup) {
  setup.provide("prefix");
  return std::make_unique<PrecisePrefixProducer>(read_options(setup),
                                                 setup.prefix_columns(setup.plugin_name));
}

Result<std::unique_ptr<Plugin>> make_precise_prefix_scorer(PluginSetup& setup) {
  setup.provide("prefix");
  return std::make_unique<PrecisePrefixScorer>(read_options(setup), setup.prefix_columns(setup.plugin_name));
}

}  // namespace llmd::picker
