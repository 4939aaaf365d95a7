// What KvIndex knows of one engine beside the prefix index: its blocks by the engine's names, its cache
// groups. Turns events into changes of the prefix index. Private to KvIndex, which holds its lock around
// every call.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "kvcache/engine_blocks.h"
#include "kvcache/kv_index.h"

namespace llmd::kvcache {

class EngineView {
 public:
  // What all engines of an index share.
  struct Shared {
    PrefixIndex& index;
    std::uint32_t block_size;
    std::function<Tier(std::string_view medium)> tier_of;
    std::function<const RequestKeys&(std::string_view model)> keys_of;
    KvIndex::Stats& stats;
  };

  EngineView(EndpointHandle endpoint, Shared& shared) : endpoint_(endpoint), shared_(shared) {}

  void apply(const BlockStored& event, std::string_view model);
  void apply(const BlockRemoved& event);
  void clear();

  std::size_t blocks() const { return blocks_.size(); }
  std::size_t memory_bytes() const { return blocks_.memory_bytes(); }
  std::uint32_t block_size() const { return block_size_; }

 private:
  std::string_view kind_of(std::optional<std::uint32_t> group, std::string_view said = {});
  SkippedEvents& skipped(std::string_view kind, std::string_view reason);
  void make_keys(const BlockStored& event, const RequestKeys& keys, BlockHash previous);
  void gather_extras(const BlockStored& event, std::size_t block);
  void add_block(const BlockStored& event, std::size_t i, Tier tier);
  void update_tier(const BlockStored& event, Tier tier);
  void hold(EngineBlock& block, Tier tier);
  void store_held(Tier tier);
  std::span<const BlockHash> keys_of(const EngineBlock& block) const;

  EndpointHandle endpoint_;
  Shared& shared_;
  EngineBlocks blocks_;
  std::map<std::pair<EngineHash, std::uint16_t>, std::vector<BlockHash>>
      several_;  // of blocks larger than ours
  // How often beyond once a tier holds a block: chunked offloading stores some twice, and only the last
  // removal counts.
  std::map<std::pair<EngineHash, std::pair<std::uint16_t, Tier>>, std::uint32_t> copies_;
  std::map<std::uint32_t, std::string> groups_;  // number -> kind
  std::uint32_t block_size_ = 0;
  std::vector<BlockHash> new_keys_;
  std::optional<BlockHash> key_before_;  // new_keys_; none: they begin a prompt
  std::size_t held_begin_ = 0;  // of new_keys_: those that the endpoint holds and the index does not know yet
  std::size_t held_end_ = 0;
  std::vector<std::string_view> extras_;
};

}  // namespace llmd::kvcache
