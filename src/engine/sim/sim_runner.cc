#include "engine/sim/sim_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "engine/core/random.h"

namespace llmd::engine::sim {
namespace {

// Normal around the mean, never outside 0.3 to 1.7 of it.
double jitter(double mean, double deviation, std::uint64_t seed, std::uint64_t index) {
  if (deviation <= 0) {
    return mean;
  }
  const double radius = std::sqrt(-2 * std::log(1 - random_unit(seed, 2 * index)));
  const double normal = radius * std::cos(2 * std::numbers::pi * random_unit(seed, 2 * index + 1));
  return std::clamp(mean + deviation * normal, 0.3 * mean, 1.7 * mean);
}

// A likely-looking log-probability for a token that nobody computed.
PositionLogprobs invented_scores(Token token, int top) {
  const auto logprob = static_cast<float>(-0.05 - 2 * random_unit(static_cast<std::uint64_t>(token), 3));
  PositionLogprobs scores{.chosen = {token, logprob, 1}, .top = {}};
  for (int i = 0; i < top; ++i) {
    scores.top.push_back({token ^ i, logprob - static_cast<float>(i), i + 1});
  }
  return scores;
}

}  // namespace

void SimRunner::run(std::span<const Chunk> chunks, std::span<ChunkResult> results) {
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Sequence& sequence = *chunks[i].sequence;
    ChunkResult& result = results[i];
    if (sequence.params.prompt_logprobs && sequence.in_prompt()) {
      for (int k = sequence.computed + 1;
           k <= sequence.computed + chunks[i].tokens && k < sequence.prompt_length; ++k) {
        result.prompt_logprobs.push_back(invented_scores(sequence.tokens[static_cast<std::size_t>(k)],
                                                         std::max(0, *sequence.params.prompt_logprobs)));
      }
    }
    const auto script = scripts_.find(sequence.id);
    if (!chunks[i].samples || script == scripts_.end()) {
      continue;
    }
    const auto position = static_cast<std::size_t>(sequence.output_length());
    const std::vector<Token>& tokens = script->second;
    result.token = position < tokens.size() ? tokens[position] : 0;
    result.last = position + 1 >= tokens.size();
    result.delay = delay(sequence);
    if (sequence.params.logprobs) {
      result.logprobs = invented_scores(result.token, *sequence.params.logprobs);
    }
  }
}

Duration SimRunner::after_other_prefills(Duration prefill) {
  const TimePoint now = std::chrono::steady_clock::now();
  prefilled_ = std::max(prefilled_, now) + prefill;
  return prefilled_ - now;
}

Duration SimRunner::delay(const Sequence& sequence) {
  const auto index = static_cast<std::uint64_t>(sequence.output_length());
  double mean = 0;
  double deviation = 0;
  if (index > 0) {
    mean = static_cast<double>(timing_.inter_token_latency.mean.count());
    deviation = static_cast<double>(timing_.inter_token_latency.deviation.count());
  } else if (timing_.time_to_first_token.mean > Duration::zero()) {
    mean = static_cast<double>(timing_.time_to_first_token.mean.count());
    deviation = static_cast<double>(timing_.time_to_first_token.deviation.count());
  } else {
    const int computed = sequence.prompt_length - std::max(0, sequence.cached_tokens);
    mean =
        static_cast<double>((timing_.prefill_overhead + computed * timing_.prefill_time_per_token).count());
    deviation = static_cast<double>(timing_.prefill_deviation.count());
  }
  if (mean <= 0) {
    return {};
  }
  const double busy =
      max_running_ > 1 ? static_cast<double>(std::max(0, running_ - 1)) / (max_running_ - 1) : 0;
  const double factor = 1 + (timing_.factor_under_load - 1) * std::min(1.0, busy);
  const Duration alone(static_cast<Duration::rep>(factor * jitter(mean, deviation, sequence.seed, index)));
  return index == 0 && timing_.one_prefill_at_a_time ? after_other_prefills(alone) : alone;
}

}  // namespace llmd::engine::sim
