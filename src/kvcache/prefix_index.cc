#include "kvcache/prefix_index.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <ranges>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "kvcache/chain_runs.h"
#include "kvcache/endpoint_blocks.h"
#include "kvcache/owner_table.h"
#include "kvcache/prefix_match.h"

namespace llmd::kvcache {
namespace {

constexpr std::size_t kChangeAhead = 8;  // blocks prefetched ahead of a change

}  // namespace

struct PrefixIndex::State {
  struct Endpoint {
    std::uint16_t generation = 0;
    std::variant<std::monostate, ChainRuns, EndpointBlocks> held;  // by the feed; monostate: the slot is free
    bool is_free() const { return std::holds_alternative<std::monostate>(held); }
  };

  Options options;
  OwnerTable table;
  mutable std::mutex mutex;  // guards all below; readers need only `table` and `slots`
  std::vector<Endpoint> endpoints;
  std::size_t entries = 0;
  std::uint64_t evictions = 0;
  std::uint64_t stale_changes = 0;
  std::uint64_t refused = 0;
  std::atomic<std::size_t> slots = 0;

  explicit State(Options o) : options(o), table(o.max_endpoints, o.tiers, o.feed == Feed::Blocks) {}

  // The endpoint, or nullptr when it is gone.
  Endpoint* at(EndpointHandle endpoint) {
    if (endpoint.slot < endpoints.size() && endpoints[endpoint.slot].generation == endpoint.generation &&
        !endpoints[endpoint.slot].is_free()) {
      return &endpoints[endpoint.slot];
    }
    ++stale_changes;
    return nullptr;
  }
  // Nothing to visit where the slot is free.
  static void visit_blocks(auto& endpoint, auto visit) {
    if (auto* const runs = std::get_if<ChainRuns>(&endpoint.held)) {
      visit(*runs);
    } else if (auto* const blocks = std::get_if<EndpointBlocks>(&endpoint.held)) {
      visit(*blocks);
    }
  }
  void hold(Endpoint& endpoint, std::size_t capacity) const {
    if (options.feed == Feed::Chains) {
      endpoint.held.emplace<ChainRuns>(capacity);
    } else {
      endpoint.held.emplace<EndpointBlocks>(capacity);
    }
  }
  void forget(std::uint16_t slot, BlockHash hash) {
    for (std::size_t tier = 0; tier < options.tiers; ++tier) {
      table.remove(hash, {slot, static_cast<Tier>(tier)});
    }
    --entries;
  }
  void evict_excess(std::uint16_t slot, EndpointBlocks& blocks) {
    while (const auto hash = blocks.pop_excess()) {
      forget(slot, *hash);
      ++evictions;
    }
  }
  void evict_excess(std::uint16_t slot, ChainRuns& runs) {
    for (auto blocks = runs.pop_excess(); !blocks.empty(); blocks = runs.pop_excess()) {
      std::ranges::for_each(blocks, [&](BlockHash hash) { static_cast<void>(table.probe(hash)); });
      std::ranges::for_each(blocks | std::views::reverse, [&](BlockHash hash) { forget(slot, hash); });
      evictions += blocks.size();
    }
  }
  void insert_chain(std::uint16_t slot, ChainRuns& runs, std::span<const BlockHash> chain) {
    const std::span<const BlockHash> rest = chain.subspan(runs.touch(chain));
    if (rest.empty() || !runs.may_extend(rest.front())) {
      return;
    }
    std::size_t added = 0;
    for (; added < rest.size(); ++added) {
      if (added + kChangeAhead < rest.size()) {
        static_cast<void>(table.probe(rest[added + kChangeAhead]));
      }
      if (table.add(rest[added], {slot, 0}) == OwnerTable::Change::Refused) {
        ++refused;
        break;
      }
    }
    runs.extend(rest.first(added));
    entries += added;
    evict_excess(slot, runs);
  }
  void touch(std::uint16_t slot, Tier tier, EndpointBlocks& blocks, BlockHash hash) {
    const bool is_new = blocks.touch(hash);
    if (!is_new && options.tiers == 1) {
      return;  // the table knows
    }
    if (table.add(hash, {slot, tier}) == OwnerTable::Change::Refused) {
      ++refused;
      if (is_new) {
        blocks.erase(hash);
      }
      return;
    }
    if (is_new) {
      ++entries;
      evict_excess(slot, blocks);
    }
  }
  void empty(std::uint16_t slot) {
    visit_blocks(endpoints[slot], [&](auto& held) {
      held.for_each([&](BlockHash hash) { forget(slot, hash); });
      held = std::remove_reference_t<decltype(held)>(held.capacity());
    });
  }
};

PrefixIndex::PrefixIndex(Options options) {
  LLMD_ASSERT(options.max_endpoints >= 1 && options.max_endpoints <= kMaxEndpoints,
              "a possible number of endpoints");
  LLMD_ASSERT(options.tiers >= 1 && options.tiers <= kMaxTiers, "a possible number of tiers");
  state_ = std::make_unique<State>(options);
}

PrefixIndex::~PrefixIndex() = default;

Result<EndpointHandle> PrefixIndex::add_endpoint(std::size_t capacity) {
  const std::lock_guard lock(state_->mutex);
  auto& endpoints = state_->endpoints;
  auto free = std::ranges::find_if(endpoints, [](const auto& e) { return e.is_free(); });
  if (free == endpoints.end()) {
    if (endpoints.size() >= state_->options.max_endpoints) {
      return resource_exhausted("the prefix index has its {} endpoints already",
                                state_->options.max_endpoints);
    }
    endpoints.emplace_back();
    state_->slots.store(endpoints.size(), std::memory_order_release);
    free = endpoints.end() - 1;
  }
  state_->hold(*free, std::max<std::size_t>(capacity, 1));
  return EndpointHandle{static_cast<std::uint16_t>(free - endpoints.begin()), free->generation};
}

void PrefixIndex::remove_endpoint(EndpointHandle endpoint) {
  const std::lock_guard lock(state_->mutex);
  if (State::Endpoint* const state = state_->at(endpoint)) {
    state_->empty(endpoint.slot);
    state->held = std::monostate();
    ++state->generation;
  }
}

void PrefixIndex::set_capacity(EndpointHandle endpoint, std::size_t capacity) {
  const std::lock_guard lock(state_->mutex);
  if (State::Endpoint* const state = state_->at(endpoint)) {
    State::visit_blocks(*state, [&](auto& held) {
      held.set_capacity(std::max<std::size_t>(capacity, 1));
      state_->evict_excess(endpoint.slot, held);
    });
  }
}

void PrefixIndex::clear(EndpointHandle endpoint) {
  const std::lock_guard lock(state_->mutex);
  if (state_->at(endpoint) != nullptr) {
    state_->empty(endpoint.slot);
  }
}

void PrefixIndex::insert(EndpointHandle endpoint, std::span<const BlockHash> chain) {
  const std::lock_guard lock(state_->mutex);
  State::Endpoint* const state = state_->at(endpoint);
  if (state == nullptr) {
    return;
  }
  if (auto* const runs = std::get_if<ChainRuns>(&state->held)) {
    state_->insert_chain(endpoint.slot, *runs, chain.first(std::min(chain.size(), runs->capacity())));
    return;
  }
  auto& blocks = std::get<EndpointBlocks>(state->held);
  chain = chain.first(std::min(chain.size(), blocks.capacity()));
  blocks.begin_chain();
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (i + kChangeAhead < chain.size()) {
      static_cast<void>(state_->table.probe(chain[i + kChangeAhead]));
    }
    state_->touch(endpoint.slot, 0, blocks, chain[i]);
  }
  state_->table.join(chain);
}

void PrefixIndex::store(EndpointHandle endpoint, Tier tier, std::span<const BlockHash> hashes,
                        std::optional<BlockHash> behind) {
  LLMD_ASSERT(state_->options.feed == Feed::Blocks && tier < state_->options.tiers,
              "fed with blocks of its tiers");
  const std::lock_guard lock(state_->mutex);
  State::Endpoint* const state = state_->at(endpoint);
  if (state == nullptr) {
    return;
  }
  auto& blocks = std::get<EndpointBlocks>(state->held);
  for (const BlockHash hash : hashes) {
    blocks.begin_chain();
    state_->touch(endpoint.slot, tier, blocks, hash);
  }
  state_->table.join(hashes, behind);
}

void PrefixIndex::remove(EndpointHandle endpoint, Tier tier, std::span<const BlockHash> hashes) {
  LLMD_ASSERT(state_->options.feed == Feed::Blocks && tier < state_->options.tiers,
              "fed with blocks of its tiers");
  const std::lock_guard lock(state_->mutex);
  State::Endpoint* const state = state_->at(endpoint);
  if (state == nullptr) {
    return;
  }
  auto& blocks = std::get<EndpointBlocks>(state->held);
  for (const BlockHash hash : hashes) {
    const auto change = state_->table.remove(hash, {endpoint.slot, tier});
    if (change == OwnerTable::Change::LastOfBlock || change == OwnerTable::Change::LastOfEndpoint) {
      blocks.erase(hash);
      --state_->entries;
    }
  }
  state_->table.join(hashes);
}

void PrefixIndex::match(std::span<const BlockHash> chain, std::span<std::uint32_t> blocks) const {
  LLMD_ASSERT(blocks.size() >= slots(), "one item per slot");
  const auto guard = state_->table.guard();
  if (state_->options.feed == Feed::Chains) {
    match_closed(state_->table, chain, blocks);
  } else {
    match_walking(state_->table, chain, blocks);
  }
}

void PrefixIndex::match_tiers(std::span<const BlockHash> chain, std::span<TierMatch> matches) const {
  LLMD_ASSERT(matches.size() >= slots(), "one item per slot");
  const auto guard = state_->table.guard();
  match_by_tier(state_->table, chain, matches);
}

std::size_t PrefixIndex::slots() const {
  return state_->slots.load(std::memory_order_acquire);
}

PrefixIndex::Stats PrefixIndex::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats{.blocks = state_->table.blocks(),
              .entries = state_->entries,
              .memory_bytes = sizeof(State) + state_->table.memory_bytes(),
              .evictions = state_->evictions,
              .stale_changes = state_->stale_changes,
              .refused = state_->refused};
  for (const auto& endpoint : state_->endpoints) {
    stats.endpoints += endpoint.is_free() ? 0 : 1;
    State::visit_blocks(endpoint, [&](const auto& held) { stats.memory_bytes += held.memory_bytes(); });
  }
  return stats;
}

}  // namespace llmd::kvcache
