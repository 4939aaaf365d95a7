#include "engine/core/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace llmd::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

// A scheduler with its cache and sequences; steps are computed at once, every sample is token 1.
class Bench {
 public:
  explicit Bench(SchedulerConfig config = {}, int blocks = 64, int block_size = 4)
      : cache(blocks, block_size, true), scheduler(config, cache) {}

  Sequence& add(int prompt, int priority = 0, Token fill = 0) {
    Sequence& sequence = make(prompt, fill);
    sequence.priority = priority;
    EXPECT_TRUE(scheduler.add(sequence));
    return sequence;
  }
  Sequence& make(int prompt, Token fill = 0) {
    Sequence& sequence = sequences.emplace_back();
    sequence.id = sequences.size();
    sequence.prompt_length = prompt;
    // Prompts differ unless they are given the same content.
    sequence.tokens.assign(static_cast<std::size_t>(prompt),
                           fill != 0 ? fill : 1000 + static_cast<Token>(sequence.id));
    sequence.root = root_hash(0, "", "");
    return sequence;
  }
  // (sequence, tokens) of the step, which is then completed.
  std::vector<std::pair<SequenceId, int>> step(int budget = 1000) {
    const Plan plan = scheduler.schedule(budget);
    preempted += plan.preempted;
    std::vector<std::pair<SequenceId, int>> chunks;
    for (const Chunk& chunk : plan.chunks) {
      chunks.emplace_back(chunk.sequence->id, chunk.tokens);
    }
    scheduler.complete(plan);
    for (const Chunk& chunk : plan.chunks) {
      if (chunk.samples) {
        scheduler.append(*chunk.sequence, 1);
      }
    }
    return chunks;
  }

  BlockManager cache;
  Scheduler scheduler;
  std::deque<Sequence> sequences;
  int preempted = 0;
};

TEST(Scheduler, ComputesAPromptThenOneTokenPerStep) {
  Bench bench;
  bench.add(10);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 10)));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1)));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1)));
}

TEST(Scheduler, CutsALongPromptToTheBudget) {
  Bench bench;
  bench.add(10);
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 4)));
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 4)));
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 2)));
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 1)));
}

TEST(Scheduler, ServesGeneratedTokensBeforePrompts) {
  Bench bench;
  bench.add(20);
  bench.add(3);
  EXPECT_THAT(bench.step(21), ElementsAre(Pair(1, 20), Pair(2, 1)));
  bench.add(30);
  EXPECT_THAT(bench.step(6), ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3)));
  EXPECT_THAT(bench.step(6), ElementsAre(Pair(1, 1), Pair(2, 1), Pair(3, 4)));
}

TEST(Scheduler, RunsNoMoreThanTheLimitAndAdmitsWhenOneLeaves) {
  Bench bench({.max_running = 2});
  Sequence& first = bench.add(4);
  bench.add(4);
  bench.add(4);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 4), Pair(2, 4)));
  EXPECT_THAT(bench.scheduler.waiting(), SizeIs(1));
  bench.scheduler.remove(first);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(2, 1), Pair(3, 4)));
}

TEST(Scheduler, TakesWhatTheCacheKnowsButComputesAtLeastTheLastToken) {
  Bench bench;
  bench.add(12, 0, 7);
  bench.step();
  Sequence& same = bench.add(12, 0, 7);
  Sequence& longer = bench.add(15, 0, 7);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1), Pair(2, 4), Pair(3, 3)));
  EXPECT_EQ(same.cached_tokens, 8);
  EXPECT_EQ(longer.cached_tokens, 12);
}

TEST(Scheduler, DoesNotReadTheCacheWhenPromptScoresAreWanted) {
  Bench bench({.prompt_logit_rows = 5});
  bench.add(12, 0, 7);
  bench.step();
  Sequence& scored = bench.make(12, 7);
  scored.params.prompt_logprobs = 0;
  ASSERT_TRUE(bench.scheduler.add(scored));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1), Pair(2, 5)));
}

TEST(Scheduler, LetsTheSecondChoiceWaitForThePromptOfTheFirst) {
  Bench bench;
  for (int i = 0; i < 2; ++i) {
    Sequence& sequence = bench.make(9, 5);
    sequence.group = 1;
    ASSERT_TRUE(bench.scheduler.add(sequence));
  }
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 9)));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1), Pair(2, 1)));
}

TEST(Scheduler, PreemptsTheNewestWhenBlocksRunOut) {
  Bench bench({}, 4, 4);  // 16 positions
  bench.add(7);
  Sequence& newest = bench.add(7);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 7), Pair(2, 7)));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1), Pair(2, 1)));
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1)));
  EXPECT_EQ(bench.preempted, 1);
  EXPECT_EQ(newest.computed, 0);
  EXPECT_THAT(bench.scheduler.waiting(), ElementsAre(&newest));
  bench.scheduler.remove(bench.sequences.front());
  // It resumes with its generated tokens; the first block was still known.
  EXPECT_THAT(bench.step(), ElementsAre(Pair(2, 5)));
}

TEST(Scheduler, ThePriorityPolicyServesLowNumbersFirstAndPreemptsHighOnes) {
  Bench bench({.max_running = 8, .policy = Policy::Priority}, 4, 4);
  bench.add(7, 5);
  bench.add(7, 1);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(2, 7), Pair(1, 7)));
  bench.step();
  EXPECT_THAT(bench.step(), ElementsAre(Pair(2, 1)));
}

TEST(Scheduler, NobodyOvertakesARequestThatWaitsForRoom) {
  Bench bench({}, 4, 4);
  bench.add(7);
  bench.add(14);
  bench.add(2);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 7)));
  EXPECT_THAT(bench.scheduler.waiting(), SizeIs(2));
}

TEST(Scheduler, RefusesAPromptThatCanNeverFit) {
  Bench bench({}, 4, 4);
  const Result<void> added = bench.scheduler.add(bench.make(16));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().message, "the prompt has 16 tokens, the KV cache has room for 16");
}

TEST(Scheduler, WithoutChunkingComputesPromptsWhole) {
  Bench bench({.chunked_prefill = false});
  bench.add(10);
  bench.add(10);
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 10)));
  EXPECT_THAT(bench.step(4), ElementsAre(Pair(1, 1), Pair(2, 10)));
}

TEST(Scheduler, OtherAdaptersWaitAndTheBaseModelOvertakes) {
  Bench bench({.max_adapters = 1});
  for (const char* name : {"a", "b", "", "a"}) {
    Sequence& sequence = bench.make(4);
    sequence.adapter_name = name;
    ASSERT_TRUE(bench.scheduler.add(sequence));
  }
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 4), Pair(3, 4), Pair(4, 4)));
  bench.scheduler.remove(bench.sequences[0]);
  bench.scheduler.remove(bench.sequences[3]);
  EXPECT_THAT(bench.step(), ElementsAre(Pair(3, 1), Pair(2, 4)));
}

TEST(Scheduler, LeavesSequencesInFlightAlone) {
  Bench bench;
  Sequence& sequence = bench.add(4);
  bench.step();
  sequence.in_flight = true;
  EXPECT_THAT(bench.step(), IsEmpty());
  sequence.in_flight = false;
  EXPECT_THAT(bench.step(), ElementsAre(Pair(1, 1)));
}

TEST(Scheduler, EverySequenceEndsAndEveryBlockComesBackUnderRandomLoad) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const auto up_to = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    Bench bench({.max_running = 1 + up_to(6),
                 .chunked_prefill = up_to(4) != 0,
                 .policy = up_to(2) == 0 ? Policy::Fcfs : Policy::Priority},
                8 + up_to(10), 4);
    const int longest = bench.cache.total_blocks() * 4;
    std::size_t alive = 0;
    for (int round = 0; round < 3000 && (round < 300 || alive > 0); ++round) {
      if (round < 300 && up_to(3) == 0) {
        bench.add(1 + up_to(longest - 8), up_to(3), 1 + up_to(2));
        ++alive;
      }
      bench.step(1 + up_to(40));
      for (Sequence& sequence : bench.sequences) {
        const bool there = sequence.running || std::ranges::count(bench.scheduler.waiting(), &sequence) == 1;
        const bool done = sequence.output_length() > sequence.prompt_length % 7 ||
                          static_cast<int>(sequence.tokens.size()) >= longest || up_to(500) == 0;
        if (there && done) {
          bench.scheduler.remove(sequence);
          --alive;
        }
      }
      ASSERT_TRUE(bench.cache.is_consistent()) << "seed " << seed << ", round " << round;
    }
    EXPECT_EQ(alive, 0U) << "seed " << seed;
    EXPECT_EQ(bench.cache.free_blocks(), bench.cache.total_blocks()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace llmd::engine
