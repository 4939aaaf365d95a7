// Who wants to know which blocks can be found in the prefix cache: KV events are made from it. Called on the
// engine's thread, in the order in which things happen. Must not block.
#pragma once

#include <span>
#include <string_view>

#include "engine/core/block_hash.h"

namespace llmd::engine {

// Neighbouring blocks of one sequence that can be found from now on.
struct StoredBlocks {
  const BlockHash* parent = nullptr;  // null: the first of them begins the prompt
  std::span<const BlockHash> hashes;
  std::span<const Token> tokens;  // of all of them
  std::string_view adapter;
  std::string_view salt;  // belongs to the first block of a prompt
};

class CacheListener {
 public:
  virtual ~CacheListener() = default;
  virtual void on_stored(const StoredBlocks& blocks) = 0;
  virtual void on_removed(const BlockHash& block) = 0;
  virtual void on_cleared() = 0;
  // A step is over: what was reported since the last call belongs together.
  virtual void on_step_end() = 0;
};

}  // namespace llmd::engine
