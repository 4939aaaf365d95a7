// Prompts that wait for each other, on a clock that stands still until it is moved.
#include "engine/sim/sim_core.h"

#include <gtest/gtest.h>

#include "engine/sim/sim_tokenizer.h"

namespace llmd::engine::sim {
namespace {

using std::chrono::milliseconds;

class StillClock final : public Clock {
 public:
  TimePoint now() const override { return time; }
  WallTime wall_now() const override { return {}; }
  TimePoint time = TimePoint() + std::chrono::hours(1);
};

struct Answer final : Listener {
  void on_update(Update update) override { tokens += update.tokens.size(); }
  std::size_t tokens = 0;
};

// A millisecond per prompt token, 100 of overhead, 10 between tokens.
struct Fixture {
  Fixture() {
    Options options;
    options.timing = {.prefill_overhead = milliseconds(100),
                      .prefill_time_per_token = milliseconds(1),
                      .one_prefill_at_a_time = true,
                      .inter_token_latency = {.mean = milliseconds(10)}};
    EngineCoreConfig config{.blocks = 1000, .max_model_len = 8000, .max_batched_tokens = 1 << 30};
    core = std::make_unique<SimCore>(options, config, SimCore::Parts{tokenizer, observer, clock});
  }
  std::shared_ptr<Answer> ask(SequenceId id, int first_token) {
    GenerationRequest request;
    for (int i = 0; i < 1000; ++i) {
      request.prompt.push_back(first_token + i);
    }
    request.params.max_tokens = 3;
    request.params.ignore_eos = true;
    auto answer = std::make_shared<Answer>();
    core->add(id, std::move(request), answer);
    run();
    return answer;
  }
  void run() {
    while (core->step()) {
    }
  }
  void pass(milliseconds time) {
    clock.time += time;
    run();
  }
  StillClock clock;
  SimTokenizer tokenizer;
  NullObserver observer;
  std::unique_ptr<SimCore> core;
};

TEST(SimCore, TheSecondPromptWaitsUntilTheFirstIsRead) {
  Fixture engine;
  const auto first = engine.ask(1, 0);
  const auto second = engine.ask(2, 5000);
  EXPECT_EQ(engine.core->load().running, 1);
  EXPECT_EQ(engine.core->load().waiting, 1);
  EXPECT_EQ(engine.core->next_due(), engine.clock.time + milliseconds(1000)) << "then the second may begin";
  engine.pass(milliseconds(1000));
  EXPECT_EQ(engine.core->load().waiting, 0);
  EXPECT_EQ(first->tokens, 0U) << "the overhead is still to come";
  engine.pass(milliseconds(100));
  EXPECT_EQ(first->tokens, 1U);
  engine.pass(milliseconds(899));
  EXPECT_EQ(second->tokens, 0U);
  engine.pass(milliseconds(101));
  EXPECT_EQ(second->tokens, 1U) << "two thousand tokens, and the overhead once";
}

TEST(SimCore, APromptThatWasGivenUpWhileItWaitedDelaysNobody) {
  Fixture engine;
  engine.ask(1, 0);
  const auto given_up = engine.ask(2, 5000);
  engine.core->abort(2);
  EXPECT_EQ(engine.core->load().waiting, 0);
  EXPECT_EQ(engine.core->live(), 1U);
  engine.pass(milliseconds(1000));
  const auto third = engine.ask(3, 9000);
  engine.pass(milliseconds(1100));
  EXPECT_EQ(third->tokens, 1U);
  EXPECT_EQ(given_up->tokens, 0U);
}

}  // namespace
}  // namespace llmd::engine::sim
