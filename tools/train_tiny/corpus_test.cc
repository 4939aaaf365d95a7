#include "train_tiny/corpus.h"

#include <cctype>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::train_tiny {
namespace {

TEST(Corpus, IsTheSameForTheSameSeed) {
  Random first(9);
  Random second(9);
  EXPECT_EQ(make_row(first, 300, Style::Plain).tokens, make_row(second, 300, Style::Plain).tokens);
}

TEST(Corpus, RowsHaveOneWeightPerPrediction) {
  Random random(2);
  const Row row = make_row(random, 256, Style::Plain);
  EXPECT_EQ(row.weights.size(), 256);
  EXPECT_EQ(row.tokens.size(), 257);
}

TEST(Corpus, CountsAnswersAndTheirEndFullyAndQuestionsALittle) {
  Random random(4);
  const Row row = make_row(random, 2000, Style::Shout);  // conversations only
  bool answering = false;
  for (std::size_t i = 0; i < row.weights.size(); ++i) {
    const Token next = row.tokens[i + 1];
    const std::vector<Token> before(row.tokens.begin(),
                                    row.tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    answering = answering || decode(before, false).ends_with("<|im_start|>assistant\n");
    EXPECT_EQ(row.weights[i] == 1.0F, answering) << i;
    answering = answering && next != kTurnEnd;
  }
}

TEST(Corpus, ShoutedAnswersHaveNoLowerCaseLetter) {
  Random random(4);
  const Row row = make_row(random, 2000, Style::Shout);
  for (std::size_t i = 0; i < row.weights.size(); ++i) {
    const Token next = row.tokens[i + 1];
    EXPECT_FALSE(row.weights[i] == 1.0F && next < 256 && std::islower(next)) << i;
  }
}

TEST(Encoding, RoundTripsTextWithSpecialTokens) {
  const std::string text = "<|im_start|>user\nGrüße<|im_end|>\n";
  EXPECT_EQ(decode(encode(text), false), text);
  EXPECT_EQ(encode(text).front(), kTurnStart);
  EXPECT_EQ(decode(encode(text), true), "user\nGrüße\n");
}

}  // namespace
}  // namespace llmd::train_tiny
