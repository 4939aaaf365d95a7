// From a row of logits to a token. A pure function of the row, the sequence's parameters, its tokens so far
// and its seed; the buffers inside only save allocations.
#pragma once

#include <span>
#include <vector>

#include "engine/core/logits.h"
#include "engine/core/sequence.h"

namespace llmd::engine {

struct TokenLogprob {
  Token token = 0;
  float logprob = 0;
  int rank = 0;  // 1: the most likely one
  bool operator==(const TokenLogprob&) const = default;
};

// One position: the token that stands there and the most likely ones, best first.
struct PositionLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;
  bool operator==(const PositionLogprobs&) const = default;
};

class Sampler {
 public:
  Sampler(int vocab_size, std::vector<Token> end_tokens);

  // The next token of the sequence. Equal logits: the lowest id wins where the most likely token is asked
  // for. The row is scratch space afterwards.
  Token sample(const Sequence& sequence, std::span<float> logits);
  // Log-probabilities of an unedited row; `top` -1: all.
  PositionLogprobs score(std::span<const float> logits, Token chosen, int top);

 private:
  struct Candidate {
    float logit;
    float weight;  // proportional to its probability
    Token token;
  };
  Token draw(const Sequence& sequence, std::span<float> logits);
  void collect(std::span<const float> logits, float threshold);  // takes their weights from weights_
  void keep_top_k(int k);
  void keep_top_p(double p, float max);
  double total_weight() const;
  Token pick(double unit) const;

  LogitEditor editor_;
  std::vector<float> weights_;  // of the whole row
  std::vector<Candidate> candidates_;
};

}  // namespace llmd::engine
