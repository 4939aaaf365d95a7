#include "kvcache/kv_index.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/assert.h"
#include "base/log.h"
#include "base/strings.h"
#include "kvcache/engine_view.h"

namespace llmd::kvcache {
namespace {

constexpr std::string_view kOther = "other";
constexpr std::string_view kSpeculative = "speculative";
constexpr std::size_t kMaxModels = 4096;  // whose first keys are remembered

// Best first; listed tiers before the others, what is only expected last among equals.
std::vector<TierWeight> all_tiers(std::vector<TierWeight> listed) {
  LLMD_ASSERT(listed.size() + 2 <= kMaxTiers, "a possible number of tiers");
  listed.push_back({std::string(kOther), 1.0});
  listed.push_back({std::string(kSpeculative), 1.0});
  std::vector<TierWeight> sorted;
  for (TierWeight& tier : listed) {
    const auto worse =
        std::ranges::upper_bound(sorted, tier.weight, std::ranges::greater(), &TierWeight::weight);
    sorted.insert(worse, std::move(tier));
  }
  return sorted;
}

}  // namespace

struct KvIndex::State {
  struct Engine {
    std::uint16_t generation = 0;
    std::optional<EngineView> view;
    std::unordered_map<BlockHash, TimePoint> expected;  // until when
  };
  struct Expected {
    TimePoint until;
    EndpointHandle endpoint;
    std::vector<BlockHash> keys;
  };

  Options options;
  std::vector<TierWeight> tiers;
  std::vector<std::string> names;
  std::array<double, kMaxTiers> weights{};
  Tier other = 0;
  Tier speculative = 0;
  PrefixIndex index;

  mutable std::mutex mutex;  // guards all below
  std::map<std::string, RequestKeys, std::less<>> models;
  Stats stats;
  EngineView::Shared shared;
  std::vector<Engine> engines;  // by slot
  std::deque<Expected> expected;
  std::size_t expected_blocks = 0;

  explicit State(Options o)
      : options(std::move(o)),
        tiers(all_tiers(options.tiers)),
        index({.max_endpoints = options.max_endpoints,
               .tiers = tiers.size(),
               .feed = PrefixIndex::Feed::Blocks}),
        shared{.index = index,
               .block_size = options.block_size,
               .tier_of = [this](std::string_view medium) { return tier_of(medium); },
               .keys_of = [this](std::string_view model) -> const RequestKeys& { return keys_of(model); },
               .stats = stats} {
    for (const TierWeight& tier : tiers) {
      weights[names.size()] = tier.weight;
      names.push_back(tier.name);
    }
    other = tier_named(kOther);
    speculative = tier_named(kSpeculative);
  }

  Tier tier_named(std::string_view name) const {
    return static_cast<Tier>(std::ranges::find(names, name) - names.begin());
  }
  Tier tier_of(std::string_view medium) const {
    const Tier tier = tier_named(medium.empty() ? "gpu" : to_lower(medium));
    return tier < names.size() && tier != speculative ? tier : other;
  }
  const RequestKeys& keys_of(std::string_view model) {
    if (const auto known = models.find(model); known != models.end()) {
      return known->second;
    }
    if (models.size() >= kMaxModels) {
      models.clear();
    }
    return models.emplace(model, RequestKeys(options.algorithm, options.seed, model)).first->second;
  }
  Engine* engine_of(EndpointHandle endpoint) {
    const bool there = endpoint.slot < engines.size() && engines[endpoint.slot].view &&
                       engines[endpoint.slot].generation == endpoint.generation;
    return there ? &engines[endpoint.slot] : nullptr;
  }
  void expire(TimePoint now);
};

KvIndex::KvIndex(Options options) {
  LLMD_ASSERT(options.block_size > 0, "a block has tokens");
  state_ = std::make_unique<State>(std::move(options));
}

KvIndex::~KvIndex() = default;

Result<EndpointHandle> KvIndex::add_endpoint() {
  const std::lock_guard lock(state_->mutex);
  LLMD_TRY(const EndpointHandle endpoint, state_->index.add_endpoint(state_->options.capacity));
  if (endpoint.slot >= state_->engines.size()) {
    state_->engines.resize(endpoint.slot + 1U);
  }
  State::Engine& engine = state_->engines[endpoint.slot];
  engine.generation = endpoint.generation;
  engine.view.emplace(endpoint, state_->shared);
  return endpoint;
}

void KvIndex::remove_endpoint(EndpointHandle endpoint) {
  const std::lock_guard lock(state_->mutex);
  if (State::Engine* const engine = state_->engine_of(endpoint)) {
    engine->view.reset();
    engine->expected.clear();
    state_->index.remove_endpoint(endpoint);
  }
}

void KvIndex::apply(EndpointHandle endpoint, std::string_view model, const EventBatch& batch) {
  const std::lock_guard lock(state_->mutex);
  State::Engine* const engine = state_->engine_of(endpoint);
  if (engine == nullptr) {
    return;
  }
  for (const KvEvent& event : batch.events) {
    if (const auto* const stored = std::get_if<BlockStored>(&event)) {
      engine->view->apply(*stored, model);
    } else if (const auto* const removed = std::get_if<BlockRemoved>(&event)) {
      engine->view->apply(*removed);
    } else {
      engine->view->clear();
    }
  }
  if (engine->view->blocks() > 2 * state_->options.capacity) {
    log::warning("KV events: an engine stores and never removes, its blocks are forgotten",
                 {{"slot", endpoint.slot}, {"blocks", engine->view->blocks()}});
    ++state_->stats.overflows;
    engine->view->clear();
  }
}

void KvIndex::clear(EndpointHandle endpoint) {
  const std::lock_guard lock(state_->mutex);
  if (State::Engine* const engine = state_->engine_of(endpoint)) {
    engine->view->clear();
  }
}

RequestKeys KvIndex::keys(std::string_view model) const {
  return {state_->options.algorithm, state_->options.seed, model};
}

std::uint32_t KvIndex::block_size() const {
  return state_->options.block_size;
}

void KvIndex::match(std::span<const BlockHash> keys, std::span<TierMatch> matches) const {
  state_->index.match_tiers(keys, matches);
}

std::size_t KvIndex::slots() const {
  return state_->index.slots();
}

double KvIndex::weighted(const TierMatch& match) const {
  double sum = 0;
  for (std::size_t tier = 0; tier < state_->names.size(); ++tier) {
    sum += match.by_tier[tier] * state_->weights[tier];
  }
  return sum;
}

const std::vector<std::string>& KvIndex::tier_names() const {
  return state_->names;
}

void KvIndex::State::expire(TimePoint now) {
  while (!expected.empty() && expected.front().until <= now) {
    const Expected overdue = std::move(expected.front());
    expected.pop_front();
    expected_blocks -= overdue.keys.size();
    Engine* const engine = engine_of(overdue.endpoint);
    if (engine == nullptr) {
      continue;
    }
    const auto forgets = [&](BlockHash key) {
      // Expected again meanwhile: the later promise holds.
      const auto until = engine->expected.find(key);
      const bool is_due = until != engine->expected.end() && until->second <= now;
      if (is_due) {
        engine->expected.erase(until);
      }
      return is_due;
    };
    // Neighbours are removed together.
    const std::span keys(overdue.keys);
    for (std::size_t begin = 0; begin < keys.size();) {
      std::size_t end = begin;
      while (end < keys.size() && forgets(keys[end])) {
        ++end;
      }
      if (begin < end) {
        index.remove(overdue.endpoint, speculative, keys.subspan(begin, end - begin));
      }
      begin = end + 1;
    }
  }
}

void KvIndex::expect(EndpointHandle endpoint, std::span<const BlockHash> keys, TimePoint now) {
  const std::lock_guard lock(state_->mutex);
  state_->expire(now);
  State::Engine* const engine = state_->engine_of(endpoint);
  if (engine == nullptr || state_->expected_blocks + keys.size() > state_->options.max_speculative) {
    return;
  }
  const TimePoint until = now + state_->options.speculative_ttl;
  for (const BlockHash key : keys) {
    engine->expected[key] = until;
  }
  state_->index.store(endpoint, state_->speculative, keys);
  state_->expected.push_back({until, endpoint, {keys.begin(), keys.end()}});
  state_->expected_blocks += keys.size();
}

void KvIndex::expire(TimePoint now) {
  const std::lock_guard lock(state_->mutex);
  state_->expire(now);
}

std::uint32_t KvIndex::engine_block_size(EndpointHandle endpoint) const {
  const std::lock_guard lock(state_->mutex);
  const State::Engine* const engine = state_->engine_of(endpoint);
  return engine == nullptr ? 0 : engine->view->block_size();
}

KvIndex::Stats KvIndex::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats = state_->stats;
  stats.index = state_->index.stats();
  stats.speculative = state_->expected_blocks;
  for (const State::Engine& engine : state_->engines) {
    stats.engine_blocks += engine.view ? engine.view->blocks() : 0;
    stats.engine_memory_bytes += engine.view ? engine.view->memory_bytes() : 0;
  }
  return stats;
}

}  // namespace llmd::kvcache
