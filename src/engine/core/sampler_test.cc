#include "engine/core/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/core/rows.h"

namespace llmd::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

constexpr float kNone = -std::numeric_limits<float>::infinity();

Sequence sequence_with(SamplingParams params, std::vector<Token> prompt = {0},
                       std::vector<Token> output = {}) {
  Sequence sequence;
  sequence.params = std::move(params);
  sequence.prompt_length = static_cast<int>(prompt.size());
  sequence.tokens = std::move(prompt);
  sequence.tokens.insert(sequence.tokens.end(), output.begin(), output.end());
  return sequence;
}

Token sample(SamplingParams params, std::vector<float> logits, std::vector<Token> prompt = {0},
             std::vector<Token> output = {}) {
  Sampler sampler(static_cast<int>(logits.size()), {});
  return sampler.sample(sequence_with(std::move(params), std::move(prompt), std::move(output)), logits);
}

// How often each token comes in 20000 draws with different seeds.
std::map<Token, int> counts(const SamplingParams& params, const std::vector<float>& logits,
                            int draws = 20000) {
  Sampler sampler(static_cast<int>(logits.size()), {});
  Sequence sequence = sequence_with(params);
  std::map<Token, int> seen;
  for (int i = 0; i < draws; ++i) {
    sequence.seed = static_cast<std::uint64_t>(i);
    std::vector<float> row = logits;
    ++seen[sampler.sample(sequence, row)];
  }
  return seen;
}

double chi_square(const std::map<Token, int>& seen, const std::vector<double>& expected, int draws = 20000) {
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto found = seen.find(static_cast<Token>(i));
    const double n = found == seen.end() ? 0 : found->second;
    const double want = expected[i] * draws;
    if (want == 0) {
      EXPECT_EQ(n, 0) << "token " << i;
      continue;
    }
    sum += (n - want) * (n - want) / want;
  }
  return sum;
}

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) {
    logits.push_back(static_cast<float>(std::log(p)));
  }
  return logits;
}

TEST(Sampler, GreedyTakesTheBestAndOfEqualsTheLowestId) {
  EXPECT_EQ(sample({.temperature = 0}, {1, 5, 3}), 1);
  EXPECT_EQ(sample({.temperature = 0}, {1, 5, 5, 5}), 1);
  std::vector<float> wide(1000, 0.5F);
  wide[777] = wide[999] = 0.75F;
  EXPECT_EQ(sample({.temperature = 0}, wide), 777);
}

// 1 % critical values of chi-square: 4 degrees of freedom 13.3, 2 degrees 9.2.
TEST(Sampler, DrawsByProbability) {
  const std::vector<double> p{0.4, 0.3, 0.15, 0.1, 0.05};
  EXPECT_LT(chi_square(counts({}, logits_of(p)), p), 13.3);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  const std::vector<double> p{0.5, 0.3, 0.2};
  const double hot = std::sqrt(0.5) + std::sqrt(0.3) + std::sqrt(0.2);
  EXPECT_LT(chi_square(counts({.temperature = 2}, logits_of(p)),
                       {std::sqrt(0.5) / hot, std::sqrt(0.3) / hot, std::sqrt(0.2) / hot}),
            9.2);
  EXPECT_EQ(counts({.temperature = 0.001}, logits_of(p)).size(), 1U);
}

TEST(Sampler, TopKKeepsTheKBestAndTheirEquals) {
  const std::vector<double> p{0.1, 0.4, 0.2, 0.2, 0.1};
  EXPECT_LT(chi_square(counts({.top_k = 1}, logits_of(p)), {0, 1, 0, 0, 0}), 0.1);
  EXPECT_LT(chi_square(counts({.top_k = 2}, logits_of(p)), {0, 0.5, 0.25, 0.25, 0}), 9.2);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  const std::vector<double> p{0.1, 0.5, 0.3, 0.1};
  EXPECT_LT(chi_square(counts({.top_p = 0.6}, logits_of(p)), {0, 0.625, 0.375, 0}), 6.6);
  EXPECT_LT(chi_square(counts({.top_p = 0.01}, logits_of(p)), {0, 1, 0, 0}), 0.1);
}

TEST(Sampler, TopPWorksOnWhatTopKLeft) {
  const std::vector<double> p{0.1, 0.4, 0.3, 0.2};
  // Of 4/7 and 3/7 the first reaches one half.
  EXPECT_LT(chi_square(counts({.top_p = 0.5, .top_k = 2}, logits_of(p)), {0, 1, 0, 0}), 0.1);
}

TEST(Sampler, TopPReachesIntoTheTailOfAFlatVocabulary) {
  const std::vector<float> flat(4000, 1.0F);
  EXPECT_GT(counts({.top_p = 0.9}, flat, 2000).size(), 1000U);
}

TEST(Sampler, MinPDropsWhatIsFarFromTheBest) {
  const std::vector<double> p{0.6, 0.25, 0.1, 0.05};
  EXPECT_LT(chi_square(counts({.min_p = 0.3}, logits_of(p)), {0.6 / 0.85, 0.25 / 0.85, 0, 0}), 6.6);
}

TEST(Sampler, PenaltiesPunishWhatWasSaid) {
  EXPECT_EQ(sample({.temperature = 0, .repetition_penalty = 2}, {4, 3, -1}, {0}), 1);
  EXPECT_EQ(sample({.temperature = 0, .repetition_penalty = 2}, {-4, -3, -5}, {1}), 0);
  EXPECT_EQ(sample({.temperature = 0, .presence_penalty = 2}, {4, 3}, {0}), 0) << "the prompt does not count";
  EXPECT_EQ(sample({.temperature = 0, .presence_penalty = 2}, {4, 3}, {1}, {0}), 1);
  EXPECT_EQ(sample({.temperature = 0, .frequency_penalty = 0.4}, {4, 3}, {1}, {0, 0}), 0);
  EXPECT_EQ(sample({.temperature = 0, .frequency_penalty = 0.4}, {4, 3}, {1}, {0, 0, 0}), 1);
}

TEST(Sampler, BiasAllowedTokensAndBadWordsDecide) {
  EXPECT_EQ(sample({.temperature = 0, .logit_bias = {{2, 10.0F}}}, {4, 3, 0}), 2);
  EXPECT_EQ(sample({.temperature = 0, .allowed_token_ids = {2, 1}}, {4, 3, 0}), 1);
  EXPECT_EQ(sample({.temperature = 0, .bad_words = {{0}}}, {4, 3, 0}), 1);
  EXPECT_EQ(sample({.temperature = 0, .bad_words = {{2, 0}}}, {4, 3, 0}, {2}), 0);
  EXPECT_EQ(sample({.temperature = 0, .bad_words = {{2, 0}}}, {4, 3, 0}, {1}, {2}), 1);
}

TEST(Sampler, DoesNotEndBeforeMinTokens) {
  Sampler sampler(3, {0});
  const auto next = [&](std::vector<Token> output) {
    std::vector<float> row{4, 3, 2};
    return sampler.sample(
        sequence_with({.temperature = 0, .min_tokens = 2, .stop_token_ids = {1}}, {0}, std::move(output)),
        row);
  };
  EXPECT_EQ(next({}), 2);
  EXPECT_EQ(next({2}), 2);
  EXPECT_EQ(next({2, 2}), 0);
}

TEST(Sampler, ScoresAddUpToOneAndAreRanked) {
  Sampler sampler(4, {});
  const std::vector<float> row = logits_of({0.1, 0.5, 0.3, 0.1});
  const PositionLogprobs scores = sampler.score(row, 2, 3);
  EXPECT_EQ(scores.chosen.rank, 2);
  EXPECT_THAT(scores.chosen.logprob, FloatNear(std::log(0.3F), 1e-5F));
  ASSERT_EQ(scores.top.size(), 3U);
  EXPECT_EQ(scores.top[0].token, 1);
  EXPECT_EQ(scores.top[1].token, 2);
  EXPECT_EQ(scores.top[2].token, 0) << "of equals the lower id";
  double sum = 0;
  for (const TokenLogprob& entry : sampler.score(row, 0, -1).top) {
    sum += std::exp(static_cast<double>(entry.logprob));
  }
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Sampler, AForbiddenTokenScoresTheFloor) {
  Sampler sampler(2, {});
  EXPECT_EQ(sampler.score(std::vector<float>{0, kNone}, 1, 0).chosen.logprob, -9999.0F);
}

TEST(Rows, TheFastExponentialAgreesWithTheSlowOne) {
  for (float x = -86.0F; x < 20.0F; x += 0.0137F) {
    EXPECT_NEAR(fast_exp(x) / std::exp(x), 1, 4e-7) << x;
  }
  EXPECT_EQ(fast_exp(-90.0F), 0.0F);
  EXPECT_EQ(fast_exp(kNone), 0.0F);
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
}

}  // namespace
}  // namespace llmd::engine
