#include "engine/core/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/core/random.h"
#include "engine/core/rows.h"

namespace llmd::engine {
namespace {

// More likely first; of equals the lower id. A total order, so that every choice below is determined.
constexpr auto kBetter = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

}  // namespace

Sampler::Sampler(int vocab_size, std::vector<Token> end_tokens)
    : editor_(vocab_size, std::move(end_tokens)), weights_(static_cast<std::size_t>(vocab_size)) {}

Token Sampler::sample(const Sequence& sequence, std::span<float> logits) {
  editor_.edit(sequence, logits);
  return is_greedy(sequence.params) ? row_argmax(logits) : draw(sequence, logits);
}

PositionLogprobs Sampler::score(std::span<const float> logits, Token chosen, int top) {
  const float max = row_max(logits);
  const double normaliser = static_cast<double>(max) + std::log(row_exp(logits, max, weights_));
  const auto logprob = [&](Token token) {
    const double value = static_cast<double>(logits[static_cast<std::size_t>(token)]) - normaliser;
    return static_cast<float>(std::max(value, -9999.0));
  };
  PositionLogprobs scores;
  scores.chosen = {chosen, logprob(chosen),
                   1 + row_count_above(logits, logits[static_cast<std::size_t>(chosen)])};
  const auto wanted = top < 0 ? logits.size() : std::min(logits.size(), static_cast<std::size_t>(top));
  if (wanted == 0) {
    return scores;
  }
  collect(logits, -std::numeric_limits<float>::infinity());
  std::ranges::partial_sort(candidates_, candidates_.begin() + static_cast<std::ptrdiff_t>(wanted), kBetter);
  for (std::size_t i = 0; i < wanted; ++i) {
    scores.top.push_back({candidates_[i].token, logprob(candidates_[i].token), static_cast<int>(i) + 1});
  }
  return scores;
}

Token Sampler::draw(const Sequence& sequence, std::span<float> logits) {
  const SamplingParams& params = sequence.params;
  const auto scale = static_cast<float>(1.0 / std::max(params.temperature, kLowestTemperature));
  for (float& logit : logits) {
    logit *= scale;
  }
  const float max = row_max(logits);
  if (!std::isfinite(max)) {
    return row_argmax(logits);  // everything is forbidden, or the model produced rubbish: at least determined
  }
  const double unit = random_unit(sequence.seed, static_cast<std::uint64_t>(sequence.output_length()));
  if (params.min_p <= 0 && params.top_k <= 0 && params.top_p >= 1) {
    // The common case needs no candidates: walk the cumulative sum in the order of ids.
    double rest = unit * row_exp(logits, max, weights_);
    Token last = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] > 0) {
        last = static_cast<Token>(i);
        rest -= static_cast<double>(weights_[i]);
        if (rest < 0) {
          break;
        }
      }
    }
    return last;
  }
  // Below e^-87 of the best a token has no weight in float; min_p raises the threshold.
  const float floor = params.min_p > 0 ? static_cast<float>(std::log(params.min_p)) : -87.0F;
  row_exp(logits, max, weights_);
  collect(logits, max + floor);
  keep_top_k(params.top_k);
  keep_top_p(params.top_p, max);
  return pick(unit);
}

void Sampler::collect(std::span<const float> logits, float threshold) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= threshold) {
      candidates_.push_back({logits[i], weights_[i], static_cast<Token>(i)});
    }
  }
}

// Keeps the k best and all that equal the last of them.
void Sampler::keep_top_k(int k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= candidates_.size()) {
    return;
  }
  const auto last = candidates_.begin() + k - 1;
  std::ranges::nth_element(candidates_, last, kBetter);
  const float bound = last->logit;
  std::erase_if(candidates_, [bound](const Candidate& candidate) { return candidate.logit < bound; });
}

// Keeps the smallest set of best tokens whose probabilities reach p. Sorting a vocabulary is expensive and
// nearly always needless: only those near the best are sorted, and further ones when they do not suffice.
void Sampler::keep_top_p(double p, float max) {
  if (p >= 1) {
    return;
  }
  const double wanted = p * total_weight();
  for (float bound = max - 4;; bound -= 8) {
    const auto rest =
        std::ranges::partition(candidates_, [bound](const Candidate& c) { return c.logit >= bound; });
    const auto near = std::ranges::subrange(candidates_.begin(), rest.begin());
    std::ranges::sort(near, kBetter);
    double sum = 0;
    for (auto candidate = near.begin(); candidate != near.end(); ++candidate) {
      sum += static_cast<double>(candidate->weight);
      if (sum >= wanted) {
        candidates_.erase(candidate + 1, candidates_.end());
        return;
      }
    }
    if (rest.empty()) {
      return;
    }
  }
}

double Sampler::total_weight() const {
  double total = 0;
  for (const Candidate& candidate : candidates_) {
    total += static_cast<double>(candidate.weight);
  }
  return total;
}

Token Sampler::pick(double unit) const {
  double rest = unit * total_weight();
  for (const Candidate& candidate : candidates_) {
    rest -= static_cast<double>(candidate.weight);
    if (rest < 0) {
      return candidate.token;
    }
  }
  return candidates_.back().token;
}

}  // namespace llmd::engine
