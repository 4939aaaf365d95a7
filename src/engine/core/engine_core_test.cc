// The engine's promise: what a request gets depends on nothing but the request. The model is a fake whose
// logits hash what stands in the cache, so that every wrong block would show.

#include "engine/core/engine_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/core/model_runner.h"
#include "testing/byte_tokenizer.h"
#include "testing/fake_model.h"

namespace llmd::engine {
namespace {

struct Answer final : Listener {
  void on_update(Update update) override {
    text += update.text;
    tokens.insert(tokens.end(), update.tokens.begin(), update.tokens.end());
    logprobs.insert(logprobs.end(), update.logprobs.begin(), update.logprobs.end());
    if (!update.prompt_logprobs.empty()) {
      prompt_logprobs = std::move(update.prompt_logprobs);
    }
    cached_tokens = update.cached_tokens;
    ++updates;
    if (update.finish) {
      finish = update.finish;
    }
  }
  std::string text;
  std::vector<Token> tokens;
  std::vector<PositionLogprobs> logprobs;
  std::vector<PositionLogprobs> prompt_logprobs;
  int cached_tokens = 0;
  int updates = 0;
  std::optional<Finish> finish;
};

constexpr int kVocabulary = 64;
constexpr Token kEnd = 63;

class Bench {
 public:
  explicit Bench(EngineCoreConfig config = {})
      : tokenizer(kVocabulary, {kEnd}), core_(complete(config), parts()) {}

  std::shared_ptr<Answer> add(std::vector<Token> prompt, SamplingParams params) {
    GenerationRequest request{.prompt = std::move(prompt), .params = std::move(params)};
    return add(std::move(request));
  }
  std::shared_ptr<Answer> add(GenerationRequest request) {
    auto answer = std::make_shared<Answer>();
    core_.add(++last_id, std::move(request), answer);
    return answer;
  }
  void run() {
    while (core_.step()) {
    }
  }
  EngineCore& core() { return core_; }

  ::llmd::testing::FakeModel model{kVocabulary};
  ::llmd::testing::ByteTokenizer tokenizer;
  SequenceId last_id = 0;

 private:
  EngineCoreConfig complete(EngineCoreConfig config) {
    config.blocks = config.blocks == 0 ? 64 : config.blocks;
    config.block_size = 4;
    config.max_model_len = config.max_model_len == 0 ? config.blocks * 4 : config.max_model_len;
    runner_ =
        std::make_unique<ModelRunner>(model, model.make_kv_cache(config.blocks, 4), std::vector<Token>{kEnd});
    return config;
  }
  EngineCore::Parts parts() { return {*runner_, tokenizer, observer_, system_clock()}; }

  NullObserver observer_;
  std::unique_ptr<ModelRunner> runner_;
  EngineCore core_;
};

std::vector<Token> prompt_of(int length, int salt = 0) {
  std::vector<Token> prompt;
  for (int i = 0; i < length; ++i) {
    prompt.push_back((i * 7 + salt) % 60);
  }
  return prompt;
}

TEST(EngineCore, GivesAsManyTokensAsAskedFor) {
  Bench bench;
  const auto answer = bench.add(prompt_of(5), {.temperature = 0, .max_tokens = 7, .ignore_eos = true});
  bench.run();
  EXPECT_EQ(answer->tokens.size(), 7U);
  EXPECT_EQ(answer->text.size(), 7U);
  ASSERT_TRUE(answer->finish);
  EXPECT_EQ(answer->finish->reason, FinishReason::Length);
  EXPECT_EQ(bench.core().live(), 0U);
}

TEST(EngineCore, EndsAtAnEndTokenWhichIsCountedButNotShown) {
  Bench bench;
  const auto answer = bench.add(prompt_of(5), {.logit_bias = {{kEnd, 100.0F}}, .max_tokens = 7});
  bench.run();
  EXPECT_EQ(answer->tokens, std::vector<Token>{kEnd});
  EXPECT_EQ(answer->text, "");
  EXPECT_EQ(answer->finish->reason, FinishReason::Stop);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(answer->finish->stop_reason));
}

TEST(EngineCore, NamesTheStopTokenAndTheStopStringThatEndedIt) {
  Bench bench;
  const auto by_token =
      bench.add(prompt_of(5), {.logit_bias = {{9, 100.0F}}, .max_tokens = 7, .stop_token_ids = {9}});
  const auto by_text =
      bench.add(prompt_of(5), {.logit_bias = {{9, 100.0F}}, .max_tokens = 7, .stop = {"jj"}});
  bench.run();
  EXPECT_EQ(by_token->finish->stop_reason, StopReason(Token{9}));
  EXPECT_EQ(by_text->finish->stop_reason, StopReason(std::string("jj")));
  EXPECT_EQ(by_text->text, "");
  EXPECT_EQ(by_text->tokens.size(), 2U);
}

TEST(EngineCore, ScoresAPromptWithoutGenerating) {
  Bench bench;
  const auto answer = bench.add(prompt_of(9), {.max_tokens = 0, .prompt_logprobs = 2});
  bench.run();
  EXPECT_TRUE(answer->tokens.empty());
  ASSERT_EQ(answer->prompt_logprobs.size(), 8U);
  EXPECT_EQ(answer->prompt_logprobs[3].chosen.token, prompt_of(9)[4]);
  EXPECT_EQ(answer->prompt_logprobs[3].top.size(), 2U);
}

TEST(EngineCore, StopsAnAbortedRequestBeforeTheNextStep) {
  Bench bench;
  const auto answer = bench.add(prompt_of(5), {.max_tokens = 1000, .ignore_eos = true});
  bench.core().step();
  const int updates = answer->updates;
  bench.core().abort(bench.last_id);
  EXPECT_EQ(bench.core().live(), 0U);
  EXPECT_EQ(bench.core().blocks().free_blocks(), bench.core().blocks().total_blocks());
  const long computed = bench.model.computed_tokens;
  EXPECT_FALSE(bench.core().step());
  EXPECT_EQ(bench.model.computed_tokens, computed);
  EXPECT_EQ(answer->updates, updates);
}

TEST(EngineCore, ReportsCachedTokensAndDoesNotComputeThemAgain) {
  Bench bench;
  bench.add(prompt_of(21), {.max_tokens = 1});
  bench.run();
  const long computed = bench.model.computed_tokens;
  const auto again = bench.add(prompt_of(21), {.max_tokens = 1});
  bench.run();
  EXPECT_EQ(again->cached_tokens, 20);
  EXPECT_EQ(bench.model.computed_tokens - computed, 1);
}

TEST(EngineCore, ARequestThatCannotFitFailsAndOthersDoNot) {
  Bench bench({.blocks = 4});
  const auto big = bench.add(prompt_of(16), {.max_tokens = 1});
  const auto small = bench.add(prompt_of(3), {.max_tokens = 1});
  bench.run();
  ASSERT_TRUE(big->finish && big->finish->error);
  EXPECT_EQ(big->finish->error->kind, ErrorKind::InvalidArgument);
  EXPECT_EQ(small->tokens.size(), 1U);
}

// One request of a random mixture: every feature that could make it depend on its surroundings.
SamplingParams random_params(std::mt19937& random) {
  const auto up_to = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  SamplingParams params{.seed = random(), .max_tokens = 1 + up_to(12)};
  params.temperature = up_to(2) == 0 ? 0 : 0.5 + up_to(3);
  params.top_k = up_to(2) == 0 ? 0 : 1 + up_to(20);
  params.top_p = up_to(2) == 0 ? 1 : 0.5;
  params.repetition_penalty = up_to(3) == 0 ? 1.3 : 1;
  params.frequency_penalty = up_to(3) == 0 ? 0.7 : 0;
  if (up_to(3) == 0) {
    params.logprobs = up_to(4);
  }
  if (up_to(5) == 0) {
    params.prompt_logprobs = up_to(3);
  }
  return params;
}

TEST(EngineCore, TheAnswerDependsOnNeitherBatchNorChunksNorCacheNorPreemption) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    const auto up_to = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    struct Case {
      std::vector<Token> prompt;
      SamplingParams params;
      std::shared_ptr<Answer> crowded;
    };
    std::vector<Case> cases;
    // Few blocks force preemptions, a small budget cuts prompts, few different prompts hit the cache.
    Bench crowd({.scheduler = {.max_running = 1 + up_to(8), .long_prefill_threshold = up_to(6)},
                 .blocks = 12 + up_to(20),
                 .max_model_len = 44,
                 .max_batched_tokens = 3 + up_to(20)});
    for (int i = 0; i < 12; ++i) {
      Case one{prompt_of(1 + up_to(30), up_to(2)), random_params(random), nullptr};
      one.crowded = crowd.add(one.prompt, one.params);
      cases.push_back(std::move(one));
      for (int k = up_to(4); k > 0; --k) {
        crowd.core().step();
      }
    }
    crowd.run();
    EXPECT_EQ(crowd.core().live(), 0U);
    EXPECT_EQ(crowd.core().blocks().free_blocks(), crowd.core().blocks().total_blocks());
    for (const Case& one : cases) {
      Bench alone({.prefix_caching = false, .max_model_len = 44});
      const auto answer = alone.add(one.prompt, one.params);
      alone.run();
      ASSERT_EQ(answer->tokens, one.crowded->tokens) << "seed " << seed;
      ASSERT_EQ(answer->text, one.crowded->text);
      ASSERT_EQ(answer->logprobs, one.crowded->logprobs);
      ASSERT_EQ(answer->prompt_logprobs, one.crowded->prompt_logprobs);
      ASSERT_EQ(answer->finish->reason, one.crowded->finish->reason);
    }
  }
}

TEST(EngineCore, ThousandsOfAbortsLeaveNoBlockBehind) {
  std::mt19937 random(5);
  Bench bench({.blocks = 20, .max_model_len = 60});
  std::vector<SequenceId> ids;
  for (int i = 0; i < 10000; ++i) {
    bench.add(prompt_of(1 + static_cast<int>(random() % 40), static_cast<int>(random() % 3)),
              {.max_tokens = 10});
    ids.push_back(bench.last_id);
    bench.core().step();
    if (ids.size() > 6) {
      const auto victim = static_cast<std::ptrdiff_t>(random() % ids.size());
      bench.core().abort(ids[static_cast<std::size_t>(victim)]);
      ids.erase(ids.begin() + victim);
    }
  }
  for (const SequenceId id : ids) {
    bench.core().abort(id);
  }
  EXPECT_EQ(bench.core().live(), 0U);
  EXPECT_EQ(bench.core().blocks().usage(), 0);
}

}  // namespace
}  // namespace llmd::engine
