#include "engine/sim/sim_runner.h"

#include <algorithm>
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
    result.delay = delay(chunks[i]);
    if (sequence.params.logprobs) {
      result.logprobs = invented_scores(result.token, *sequence.params.logprobs);
    }
  }
}

Duration SimRunner::delay(const Chunk& chunk) {
  const Sequence& sequence = *chunk.sequence;
  const auto index = static_cast<std::uint64_t>(sequence.output_length());
  if (index == 0) {
    return prefill(sequence, sequence.prompt_length - std::max(0, sequence.cached_tokens), index);
  }
  // What a preempted sequence had computed is computed again.
  const Duration again = chunk.tokens > 1 ? prefill(sequence, chunk.tokens - 1, index) : Duration::zero();
  return again + next_token(sequence, index);
}

Duration SimRunner::next_token(const Sequence& sequence, std::uint64_t index) {
  return jittered(static_cast<double>(timing_.inter_token_latency.mean.count()),
                  static_cast<double>(timing_.inter_token_latency.deviation.count()), sequence, index);
}

Duration SimRunner::prefill(const Sequence& sequence, int tokens, std::uint64_t index) {
  const Jittered& constant = timing_.time_to_first_token;
  const bool is_constant = constant.mean > Duration::zero();
  const Duration work = is_constant ? constant.mean : tokens * timing_.prefill_time_per_token;
  const Duration overhead = is_constant ? Duration::zero() : timing_.prefill_overhead;
  const Duration deviation = is_constant ? constant.deviation : timing_.prefill_deviation;
  const double mean = static_cast<double>((work + overhead).count());
  const Duration alone = jittered(mean, static_cast<double>(deviation.count()), sequence, index);
  if (!timing_.one_prefill_at_a_time || mean <= 0) {
    return alone;
  }
  // The overhead is nobody else's: prompts follow each other as fast as tokens are computed.
  const TimePoint now = clock_.now();
  const double share = static_cast<double>(work.count()) / mean;
  const auto alone_work = Duration(static_cast<Duration::rep>(static_cast<double>(alone.count()) * share));
  prefilled_ = std::max(prefilled_, now) + alone_work;
  return prefilled_ - now + alone - alone_work;
}

Duration SimRunner::jittered(double mean, double deviation, const Sequence& sequence,
                             std::uint64_t index) const {
  if (mean <= 0) {
    return {};
  }
  const double busy =
      max_running_ > 1 ? static_cast<double>(std::max(0, running_ - 1)) / (max_running_ - 1) : 0;
  const double factor = 1 + (timing_.factor_under_load - 1) * std::min(1.0, busy);
  return Duration(static_cast<Duration::rep>(factor * jitter(mean, deviation, sequence.seed, index)));
}

}  // namespace llmd::engine::sim
