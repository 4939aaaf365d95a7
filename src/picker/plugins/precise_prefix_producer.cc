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
#include "kvcache/prompt_extras.h"
#include "picker/check_state.h"
#include "picker/dumped_endpoints.h"
#include "picker/per_thread.h"
#include "picker/plugins/event_spans.h"
#include "picker/plugins/kv_cache_metrics.h"
#include "picker/spans.h"

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
    trace::Span span = begin_span(cycle.spans(), "produce_precise_prefix_cache");
    if (span.sampled()) {
      span.set("gen_ai.request.id", request.id);
      span.set("gen_ai.request.model", request.target());
      span.set("llm_d.kv_cache.tokens", request.tokens.size());
    }
    Match& match = this->match();
    match.keys.clear();
    if (request.tokens.empty()) {
      without_tokens_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const auto keys = index_.keys(request.target());
    const std::size_t block = index_.block_size();
    match.keys.resize(request.tokens.size() / block);
    match.keys.resize(chain(keys, request, block, match.keys));
    if (match.keys.empty()) {
      return;
    }
    cycle.set_scalar(columns_.total, static_cast<float>(match.keys.size()));
    cycle.set_scalar(columns_.block_tokens, static_cast<float>(block));
    trace::Span scoring = begin_span(cycle.spans(), "score_tokens", span);
    scoring.set("llm_d.kv_cache.blocks", match.keys.size());
    look_up(match, cycle.spans(), scoring);
    compute(cycle, match, scoring);
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
    const trace::Span span = begin_span(cycle.spans(), "index_add");
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
    if (!follower_) {
      return;
    }
    auto handles = std::make_shared<Handles>();
    auto names = std::make_shared<Slots>();
    auto engines = std::make_shared<Engines>();
    follow(snapshot);
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
      if (checks.size() < kMostDumped) {
        checks[name_] = check_state(check_.stats(handle.slot));
      }
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
  using Engines = std::vector<std::pair<std::string, std::string>>;   // full names and addresses
  using Numbers = std::map<std::string, std::uint32_t, std::less<>>;  // by address: ids of endpoints
  struct Match {
    std::vector<kvcache::BlockHash> keys;
    std::vector<kvcache::TierMatch> blocks;
  };

  // The follower knows engines by their addresses: where another one has taken over an address, it is told
  // first that the old one has gone.
  void follow(const EndpointSnapshot& snapshot) const {
    std::vector<kvcache::KvTarget> staying;
    std::vector<kvcache::KvTarget> all;
    Numbers numbers;
    for (const EndpointPtr& endpoint : snapshot.endpoints) {
      const auto before = numbers_.find(endpoint->destination);
      all.push_back({endpoint->destination, endpoint->endpoint.address.host,
                     static_cast<std::uint32_t>(std::max(endpoint->endpoint.rank, 0))});
      if (before == numbers_.end() || before->second == endpoint->id) {
        staying.push_back(all.back());
      }
      numbers[endpoint->destination] = endpoint->id;
    }
    numbers_ = std::move(numbers);
    if (staying.size() < all.size()) {
      static_cast<void>(follower_->follow(staying));  // what has no room is told below
    }
    if (const auto followed = follower_->follow(all); !followed) {
      log::warning("not every endpoint's cache can be followed", {{"error", followed.error().text()}});
    }
  }

  // Plain text without a salt, the usual case, has no extra keys.
  static std::size_t chain(const kvcache::RequestKeys& keys, const Request& request, std::size_t block,
                           std::span<kvcache::BlockHash> into) {
    if (request.cache_salt.empty() && request.placed_media.empty()) {
      return keys.chain(keys.init(), request.tokens, block, {}, into);
    }
    const kvcache::PromptExtras extras(request.placed_media, request.cache_salt, block, into.size());
    return keys.chain(keys.init(), request.tokens, block, extras.blocks(), into);
  }

  void look_up(Match& match, const SpanParent* spans, const trace::Span& above) const {
    const trace::Span span = begin_span(spans, "index_lookup", above);
    match.blocks.assign(index_.slots(), {});
    index_.match(match.keys, match.blocks);
    lookups_.fetch_add(1, std::memory_order_relaxed);
  }

  void compute(Cycle& cycle, const Match& match, const trace::Span& above) const {
    trace::Span span = begin_span(cycle.spans(), "compute_scores", above);
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
    span.set("llm_d.kv_cache.longest_match", most);
  }

  // Between produce() and dispatched() of one decision, which run on one thread.
  Match& match() const { return matches_.mine(); }

  PreciseOptions options_;
  mutable kvcache::KvIndex index_;
  std::unique_ptr<kvcache::KvFollower> follower_;  // null: nobody tells us anything
  mutable async::Snapshot<Handles> handles_;
  mutable async::Snapshot<Slots> names_;
  mutable async::Snapshot<Engines> engines_;
  mutable Numbers numbers_;  // of endpoints_changed() alone
  PerThread<Match> matches_;
  mutable kvcache::PrefixCheck check_;
  mutable std::atomic<std::uint64_t> without_tokens_{0};
  mutable std::atomic<std::uint64_t> lookups_{0};
  mutable std::atomic<std::uint64_t> hits_{0};  // blocks
};

// The share of the prompt; false: nothing is known.
bool score_share(const PrefixColumns& columns, const Cycle& cycle, std::span<const Row> rows,
                 std::span<double> scores) {
  const double total = cycle.scalar(columns.total);
  for (std::size_t i = 0; total > 0 && i < rows.size(); ++i) {
    scores[i] = cycle.at(columns.matched, rows[i]) / total;
  }
  return total > 0;
}

class PrecisePrefixScorer final : public PrecisePrefixProducer, public Scorer {
 public:
  using PrecisePrefixProducer::PrecisePrefixProducer;
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    trace::Span span = begin_span(cycle.spans(), "score_prefix_cache");
    const bool known = score_share(columns_, cycle, rows, scores);
    if (span.sampled()) {
      span.set("llm_d.scorer.candidate_endpoints", rows.size());
      span.set("llm_d.scorer.result", known ? "scored" : "without tokens");
      span.set("llm_d.scorer.score.max", *std::ranges::max_element(scores));
    }
  }
};

// Scores what the configuration's own producer finds.
class SharedIndexScorer final : public Scorer {
 public:
  explicit SharedIndexScorer(PrefixColumns columns) : columns_(columns) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    score_share(columns_, cycle, rows, scores);
  }

 private:
  const PrefixColumns columns_;
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

void read_indexer(Parameters& from, bool refuses_older, kvcache::KvIndex::Options& index, bool& metrics) {
  if (from.has("tokenProcessorConfig")) {
    read_token_processor(from.object("tokenProcessorConfig"), index);
  }
  from.accept({"tokenProcessorConfig"});
  from.object("prefixStoreConfig").accept_all();
  from.object("tokenizersPoolConfig").accept_all();
  Parameters& store = from.object("kvBlockIndexConfig");
  store.read("enableMetrics", metrics);
  if (refuses_older && from.has("tokenizersPoolConfig")) {
    from.reject("tokenizersPoolConfig", "a token-producer counts tokens now; move it there");
  }
  if (refuses_older && store.has("valkeyConfig")) {
    store.reject("valkeyConfig", "is not known any more; use redisConfig");
  }
  store.accept_all();
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
  // A producer that another plugin asked for got that plugin's parameters, some of which are older.
  const bool refuses_older = setup.plugin_type == kPreciseProducer && setup.is_listed(setup.plugin_name);
  read_indexer(parameters.object("indexerConfig"), refuses_older, options.index, options.metrics);
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
  options.follower.watch = event_spans(setup.tracer());
  return options;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_precise_prefix_producer(PluginSetup& setup) {
  setup.provide("prefix");
  return std::make_unique<PrecisePrefixProducer>(read_options(setup),
                                                 setup.prefix_columns(setup.plugin_name));
}

Result<std::unique_ptr<Plugin>> make_precise_prefix_scorer(PluginSetup& setup) {
  const auto producers = setup.listed_of(kPreciseProducer);
  if (producers.size() > 1) {
    return invalid_argument("there are {} plugins of type {}; it cannot know whose matches to score",
                            producers.size(), kPreciseProducer)
        .hint("use a prefix-cache-scorer with prefixMatchInfoProducerName");
  }
  if (!producers.empty()) {
    setup.parameters.accept_all();  // they are those of the producer that is there
    setup.require("prefix", producers.front(), nullptr);
    return std::make_unique<SharedIndexScorer>(setup.prefix_columns(producers.front()));
  }
  setup.provide("prefix");
  return std::make_unique<PrecisePrefixScorer>(read_options(setup), setup.prefix_columns(setup.plugin_name));
}

}  // namespace llmd::picker
