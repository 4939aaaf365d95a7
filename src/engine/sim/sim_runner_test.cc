// Simulated time.
#include "engine/sim/sim_runner.h"

#include <gtest/gtest.h>

namespace llmd::engine::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long two prompts of 1,000 tokens, begun in one step, take at a millisecond per token.
std::vector<Duration> delays_of_two(bool one_at_a_time) {
  Timing timing;
  timing.prefill_time_per_token = milliseconds(1);
  timing.one_prefill_at_a_time = one_at_a_time;
  SimRunner runner(timing, 8);
  std::vector<Sequence> sequences(2);
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    sequences[i].id = i + 1;
    sequences[i].prompt_length = 1000;
    sequences[i].tokens.resize(1000);
    sequences[i].cached_tokens = 0;
    runner.add_script(sequences[i].id, {1, 2, 3});
    Chunk& chunk = chunks.emplace_back();
    chunk.sequence = &sequences[i];
    chunk.tokens = 1000;
    chunk.samples = true;
  }
  std::vector<ChunkResult> results(2);
  runner.run(chunks, results);
  return {results[0].delay, results[1].delay};
}

TEST(SimRunner, PromptsTakeAsLongAsTheirTokens) {
  const auto delays = delays_of_two(false);
  EXPECT_EQ(delays[0], seconds(1));
  EXPECT_EQ(delays[1], seconds(1));
}

TEST(SimRunner, PromptsWaitForEachOtherWhenAsked) {
  const auto delays = delays_of_two(true);
  EXPECT_LE(delays[0], seconds(1));
  EXPECT_GT(delays[1], delays[0]);
  EXPECT_GT(delays[1], seconds(1)) << "the second begins when the first has ended";
  EXPECT_LE(delays[1], seconds(2));
}

}  // namespace
}  // namespace llmd::engine::sim
