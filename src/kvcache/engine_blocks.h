// The blocks of one engine under the names the engine gave them, with the request key each corresponds to. A
// flat hash table: 24 bytes per place, at most three quarters full. Not thread-safe: KvIndex owns it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvcache/block_hash.h"
#include "kvcache/kv_event.h"

namespace llmd::kvcache {

struct EngineBlock {
  EngineHash hash = 0;
  BlockHash key = 0;        // the last one, if several request blocks lie in it; 0: a free place
  std::uint16_t group = 0;  // 0: none, else the group's number plus one
  std::uint8_t tiers = 0;   // a bit per tier that has it
  bool several = false;     // more request keys are kept elsewhere
  bool aligned = true;      // ends where a request block ends, so that the next may begin behind it
};

class EngineBlocks {
 public:
  // Pointers are valid until the next put() or erase().
  EngineBlock* find(EngineHash hash, std::uint16_t group);
  // The block by this name, in whatever group.
  const EngineBlock* find_any(EngineHash hash) const;
  // `hash` and `group` are not there yet.
  EngineBlock& put(const EngineBlock& block);
  void erase(EngineHash hash, std::uint16_t group);
  void clear();

  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return table_.capacity() * sizeof(EngineBlock); }

 private:
  std::size_t home(EngineHash hash) const;
  std::size_t after(std::size_t place) const { return place + 1 == table_.size() ? 0 : place + 1; }
  void grow();

  std::size_t size_ = 0;
  std::vector<EngineBlock> table_;
};

}  // namespace llmd::kvcache
