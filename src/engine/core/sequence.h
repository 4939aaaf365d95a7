// One prompt and what has been generated for it. The engine owns sequences; the scheduler moves them between
// its queues and keeps the fields in the second half.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/block_hash.h"
#include "engine/core/sampling_params.h"
#include "engine/model/model.h"

namespace llmd::engine {

using SequenceId = std::uint64_t;

struct Sequence {
  SequenceId id = 0;        // also the order of arrival
  std::uint64_t group = 0;  // sequences of one request with the same prompt; 0: none
  int priority = 0;         // lower is served first, under the priority policy
  int prompt_length = 0;
  std::vector<Token> tokens;  // prompt, then output
  SamplingParams params;
  std::uint64_t seed = 0;                       // of its random numbers
  TokenConstraint::State constraint_state = 0;  // after the tokens of the output so far
  const LoraAdapter* adapter = nullptr;
  std::string adapter_name;
  std::string cache_salt;
  BlockHash root;  // where its chain of block hashes begins

  // The scheduler's.
  int computed = 0;              // tokens whose keys and values are in the cache
  int cached_tokens = -1;        // of the prompt, found at first admission; -1: not admitted yet
  int planned = 0;               // tokens of the step that is being computed
  bool in_flight = false;        // its next token is on the way (simulated time): leave it alone
  bool running = false;          // in the running set: holds blocks
  std::vector<int> blocks;       // the block table
  std::vector<BlockHash> chain;  // of all full blocks of `tokens`

  int pending() const { return static_cast<int>(tokens.size()) - computed; }
  int output_length() const { return static_cast<int>(tokens.size()) - prompt_length; }
  bool in_prompt() const { return computed < prompt_length; }
};

}  // namespace llmd::engine
