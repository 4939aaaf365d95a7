#include "kvcache/engine_view.h"

#include <algorithm>
#include <array>

#include "base/log.h"

namespace llmd::kvcache {
namespace {

// Caches in which a block is worth something only together with all before it, and then for good.
constexpr std::array<std::string_view, 3> kPrefixCaches{"full_attention", "mla_attention",
                                                        "sink_full_attention"};
constexpr std::size_t kMaxGroups = 1024;
constexpr std::size_t kMaxKinds = 100;  // the engine's own words, so bounded
constexpr std::string_view kUnsupported = "unsupported_cache_kind";

bool is_prefix_cache(std::string_view kind) {
  return std::ranges::find(kPrefixCaches, kind) != kPrefixCaches.end();
}

std::uint16_t group_number(std::optional<std::uint32_t> group) {
  return group ? static_cast<std::uint16_t>(std::min<std::uint32_t>(*group, 0xfffe) + 1) : 0;
}

}  // namespace

// Later events of a group may leave out its kind. Empty: nobody said it.
std::string_view EngineView::kind_of(std::optional<std::uint32_t> group, std::string_view said) {
  const auto known = group ? groups_.find(*group) : groups_.end();
  if (said.empty()) {
    return known != groups_.end() ? std::string_view(known->second) : std::string_view();
  }
  if (known != groups_.end()) {
    known->second = said;
  } else if (group && groups_.size() < kMaxGroups) {
    groups_.emplace(*group, said);
  }
  return said;
}

SkippedEvents& EngineView::skipped(std::string_view kind, std::string_view reason) {
  auto& all = shared_.stats.skipped;
  kind = kind.empty() ? "unknown" : all.size() < kMaxKinds ? kind : "other";
  const auto known = std::ranges::find_if(
      all, [&](const SkippedEvents& each) { return each.cache_kind == kind && each.reason == reason; });
  return known != all.end() ? *known : all.emplace_back(SkippedEvents{std::string(kind), reason, 0, 0});
}

// The extra keys of our block, from the engine's blocks that lie in it or that it lies in.
void EngineView::gather_extras(const BlockStored& event, std::size_t block) {
  extras_.clear();
  const std::size_t first_token = block * shared_.block_size;
  const std::size_t first = first_token / event.block_size;
  const std::size_t last = (first_token + shared_.block_size - 1) / event.block_size;
  for (std::size_t i = first; i <= last && i < event.extra_keys.size(); ++i) {
    std::span<const std::string> own = event.extra_keys[i];
    // An adapter's name comes first; requests have it as their model.
    if (!own.empty() && !event.lora_name.empty() && own.front() == event.lora_name) {
      own = own.subspan(1);
    }
    for (const std::string& extra : own) {
      // An image that reaches over several of the engine's blocks is named in each.
      if (std::ranges::find(extras_, extra) == extras_.end()) {
        extras_.push_back(extra);
      }
    }
  }
  if (block == 0 && event.parent == 0 && !event.cache_salt.empty()) {
    extras_.push_back(event.cache_salt);
  }
}

void EngineView::make_keys(const BlockStored& event, const RequestKeys& keys, BlockHash previous) {
  const std::size_t size = shared_.block_size;
  new_keys_.clear();
  for (std::size_t block = 0; (block + 1) * size <= event.tokens.size(); ++block) {
    gather_extras(event, block);
    previous = keys.next(previous, std::span(event.tokens).subspan(block * size, size), extras_);
    new_keys_.push_back(previous);
  }
  shared_.stats.unaligned += event.tokens.size() % size != 0 ? 1 : 0;
}

void EngineView::hold(EngineBlock& block, Tier tier) {
  const auto bit = static_cast<std::uint8_t>(1U << tier);
  if ((block.tiers & bit) != 0) {
    ++copies_[{block.hash, {block.group, tier}}];
  }
  block.tiers |= bit;
}

std::span<const BlockHash> EngineView::keys_of(const EngineBlock& block) const {
  if (block.several) {
    const auto found = several_.find({block.hash, block.group});
    if (found != several_.end()) {
      return found->second;
    }
  }
  return {&block.key, 1};
}

// Block i of the event, with the keys of all request blocks that share tokens with it: without it, those are
// incomplete.
void EngineView::add_block(const BlockStored& event, std::size_t i, Tier tier) {
  const std::size_t end_token = (i + 1) * event.block_size;
  const std::size_t first = i * event.block_size / shared_.block_size;
  const std::size_t end = std::min((end_token - 1) / shared_.block_size + 1, new_keys_.size());
  if (first >= end) {
    return;  // it lies in a request block that this event does not fill
  }
  const EngineHash hash = event.hashes[i];
  const std::uint16_t group = group_number(event.group);
  EngineBlock* block = blocks_.find(hash, group);
  if (block == nullptr) {
    const bool several = end - first > 1;
    if (several) {
      several_[{hash, group}].assign(new_keys_.begin() + static_cast<std::ptrdiff_t>(first),
                                     new_keys_.begin() + static_cast<std::ptrdiff_t>(end));
    }
    block = &blocks_.put({.hash = hash,
                          .key = new_keys_[end - 1],
                          .group = group,
                          .several = several,
                          .aligned = end_token % shared_.block_size == 0});
  }
  hold(*block, tier);
  ++shared_.stats.stored;
  // The event's keys follow one another and are stored together; a block that was known by other keys is not
  // one of them.
  if (block->key == new_keys_[end - 1]) {
    held_end_ = end;
  } else {
    store_held(tier);
    shared_.index.store(endpoint_, tier, keys_of(*block));
    held_begin_ = held_end_ = end;
  }
}

void EngineView::store_held(Tier tier) {
  if (held_begin_ < held_end_) {
    const auto behind = held_begin_ > 0 ? std::optional(new_keys_[held_begin_ - 1]) : key_before_;
    shared_.index.store(endpoint_, tier, std::span(new_keys_).subspan(held_begin_, held_end_ - held_begin_),
                        behind);
  }
  held_begin_ = held_end_;
}

void EngineView::update_tier(const BlockStored& event, Tier tier) {
  for (const EngineHash hash : event.hashes) {
    if (EngineBlock* const block = blocks_.find(hash, group_number(event.group))) {
      hold(*block, tier);
      shared_.index.store(endpoint_, tier, keys_of(*block));
      ++shared_.stats.tier_updates;
    }
  }
}

void EngineView::apply(const BlockStored& event, std::string_view model) {
  const Tier tier = shared_.tier_of(event.medium);
  const std::string_view kind = kind_of(event.group, event.spec_kind);
  if (event.group && !is_prefix_cache(kind)) {
    ++shared_.stats.skipped_groups;
    ++skipped(kind, kUnsupported).stores;
    return;
  }
  if (event.tokens.empty()) {
    update_tier(event, tier);
    return;
  }
  const bool dense = event.block_size > 0 && event.tokens.size() == event.hashes.size() * event.block_size;
  if (!dense) {
    ++shared_.stats.sparse;
    ++skipped(kind, event.block_size == 0 ? "invalid_block_size" : "non_dense_block_span").stores;
    return;
  }
  if (block_size_ != event.block_size) {
    block_size_ = event.block_size;
    if (block_size_ != shared_.block_size) {
      log::warning("KV events: block sizes differ, less of the prompts will match",
                   {{"engine", block_size_}, {"configured", shared_.block_size}});
    }
  }
  const RequestKeys& keys =
      shared_.keys_of(event.lora_name.empty() ? model : std::string_view(event.lora_name));
  BlockHash previous = keys.init();
  key_before_.reset();
  if (event.parent != 0) {
    const EngineBlock* const parent = blocks_.find_any(event.parent);
    if (parent == nullptr) {
      ++shared_.stats.unknown_parents;
      return;
    }
    if (!parent->aligned) {
      ++shared_.stats.unaligned;
      return;
    }
    previous = parent->key;
    key_before_ = previous;
  }
  make_keys(event, keys, previous);
  held_begin_ = held_end_ = 0;
  for (std::size_t i = 0; i < event.hashes.size(); ++i) {
    add_block(event, i, tier);
  }
  store_held(tier);
}

void EngineView::apply(const BlockRemoved& event) {
  if (const std::string_view kind = kind_of(event.group); event.group && !is_prefix_cache(kind)) {
    ++skipped(kind, kUnsupported).removals;
    return;
  }
  const Tier tier = shared_.tier_of(event.medium);
  const auto bit = static_cast<std::uint8_t>(1U << tier);
  const std::uint16_t group = group_number(event.group);
  for (const EngineHash hash : event.hashes) {
    if (const auto copies = copies_.find({hash, {group, tier}}); copies != copies_.end()) {
      ++shared_.stats.suppressed_removals;
      if (--copies->second == 0) {
        copies_.erase(copies);
      }
      continue;
    }
    ++shared_.stats.forwarded_removals;
    EngineBlock* const block = blocks_.find(hash, group);
    if (block == nullptr || (block->tiers & bit) == 0) {
      continue;
    }
    shared_.index.remove(endpoint_, tier, keys_of(*block));
    ++shared_.stats.removed;
    block->tiers = static_cast<std::uint8_t>(block->tiers & ~bit);
    if (block->tiers == 0) {
      if (block->several) {
        several_.erase({hash, group});
      }
      blocks_.erase(hash, group);
    }
  }
}

void EngineView::clear() {
  shared_.index.clear(endpoint_);
  blocks_.clear();
  several_.clear();
  copies_.clear();
  ++shared_.stats.cleared;
}

}  // namespace llmd::kvcache
