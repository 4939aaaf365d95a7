#include "picker/gather.h"

#include <algorithm>
#include <limits>

namespace llmd::picker {
namespace {

void distrust_stale(Cycle& cycle, Column column) {
  const auto values = cycle.fill(column);
  const auto ages = cycle.column(kAge);
  double sum = 0;
  std::size_t fresh = 0;
  for (std::size_t row = 0; row < values.size(); ++row) {
    if (ages[row] <= kFreshSeconds) {
      sum += values[row];
      ++fresh;
    }
  }
  if (fresh == 0 || fresh == values.size()) {
    return;
  }
  const float mean = static_cast<float>(sum / static_cast<double>(fresh));
  for (std::size_t row = 0; row < values.size(); ++row) {
    const float trust = std::clamp((5 * kFreshSeconds - ages[row]) / (4 * kFreshSeconds), 0.0F, 1.0F);
    values[row] = trust * values[row] + (1 - trust) * mean;
  }
}

}  // namespace

void gather(Cycle& cycle) {
  const auto waiting = cycle.fill(kWaiting);
  const auto running = cycle.fill(kRunning);
  const auto usage = cycle.fill(kKvUsage);
  const auto requests = cycle.fill(kInFlightRequests);
  const auto tokens = cycle.fill(kInFlightTokens);
  const auto ages = cycle.fill(kAge);
  const auto block_tokens = cycle.fill(kBlockTokens);
  const auto blocks = cycle.fill(kBlocks);
  bool stale = false;
  for (std::size_t row = 0; row < cycle.rows(); ++row) {
    const EndpointState& endpoint = cycle.endpoint(static_cast<Row>(row));
    const auto numbers = endpoint.numbers();
    waiting[row] = numbers.waiting;
    running[row] = numbers.running;
    usage[row] = numbers.kv_usage;
    block_tokens[row] = numbers.block_tokens;
    blocks[row] = numbers.blocks;
    requests[row] = static_cast<float>(endpoint.running());
    tokens[row] = static_cast<float>(endpoint.tokens());
    const Duration age = endpoint.age(cycle.now());
    ages[row] = age == Duration::max() ? std::numeric_limits<float>::infinity()
                                       : std::max(0.0F, std::chrono::duration<float>(age).count());
    stale = stale || ages[row] > kFreshSeconds;
  }
  if (stale) {
    for (const Column column : {kWaiting, kRunning, kKvUsage}) {
      distrust_stale(cycle, column);
    }
  }
}

}  // namespace llmd::picker
