// What a simulated model says.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/generation.h"
#include "engine/sim/options.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine::sim {

// The tokens of one answer, at most max_tokens. Echo: the tokens of request.echo. Random: sentences drawn by
// `seed`, of a length that people's answers have; exactly max_tokens with ignore_eos.
std::vector<Token> script(const GenerationRequest& request, Mode mode, std::uint64_t seed,
                          const tokenizer::Tokenizer& tokenizer);

}  // namespace llmd::engine::sim
