// The part of a step that costs time: forward pass and sampling. The real one runs a model, the simulated one
// a timing model and a source of tokens.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "engine/core/sampler.h"
#include "engine/core/scheduler.h"

namespace llmd::engine {

struct ChunkResult {
  Token token = 0;                                // when the chunk samples
  std::optional<PositionLogprobs> logprobs;       // of `token`, when asked for
  std::vector<PositionLogprobs> prompt_logprobs;  // of the tokens after each prompt position of the chunk
  bool last = false;                              // simulation: the text ends with this token
  Duration delay = {};                            // simulated time until the token is there
};

class Runner {
 public:
  virtual ~Runner() = default;
  // `results` has one entry per chunk, default-constructed.
  virtual void run(std::span<const Chunk> chunks, std::span<ChunkResult> results) = 0;
};

}  // namespace llmd::engine
