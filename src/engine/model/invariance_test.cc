// The promise of model.h, bit by bit: a token's logits depend on its own sequence and on nothing else.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "engine/kernels/cpu.h"
#include "engine/model/model.h"
#include "engine/model/random_model.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;
using testing::make_random_model;
using testing::RandomModel;
using testing::TemporaryFolder;

constexpr int kVocab = 131;
constexpr int kBlockSize = 16;
constexpr int kBlocksPerSequence = 6;

struct Sequence {
  std::vector<Token> tokens;
  std::vector<int> blocks;
};

std::vector<Token> some_tokens(int count, int seed) {
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back((i * i * 31 + i * seed + seed) % kVocab);
  }
  return tokens;
}

// Together more than a piece. Sequences in blocks that count down, so that no block stands where a naive
// layout would have it.
std::vector<Sequence> some_sequences() {
  std::vector<Sequence> sequences;
  int block = 64;
  for (const int length : {1, 16, 33, 47, 64, 90, 94}) {
    Sequence sequence{some_tokens(length, length), {}};
    for (int i = 0; i < kBlocksPerSequence; ++i) {
      sequence.blocks.push_back(--block);
    }
    sequences.push_back(sequence);
  }
  return sequences;
}

// A model file of each kind of arithmetic.
class Invariance : public ::testing::TestWithParam<TensorType> {
 protected:
  void SetUp() override {
    RandomModel random = make_random_model(
        {.vocab = kVocab, .hidden = 256, .heads = 8, .kv_heads = 2, .head_dim = 32, .feed_forward = 512}, 3);
    write_gguf(random, folder_.path() / "random.gguf", GetParam());
  }

  std::unique_ptr<Model> load(int threads) {
    auto model = load_model(folder_.path(), {.threads = threads});
    EXPECT_TRUE(model) << model.error().text();
    return std::move(*model);
  }

  // Logits of the last token, alone and in one piece: what everything else must equal.
  static std::vector<float> alone(Model& model, const Sequence& sequence) {
    const auto cache = model.make_kv_cache(64, kBlockSize);
    return step(
        model, *cache,
        {{.tokens = sequence.tokens, .position = 0, .block_table = sequence.blocks, .logit_rows = 1}});
  }

  static std::vector<float> step(Model& model, KvCache& cache, const std::vector<SequenceChunk>& batch) {
    std::size_t rows = 0;
    for (const auto& chunk : batch) {
      rows += static_cast<std::size_t>(chunk.logit_rows);
    }
    std::vector<float> logits(rows * kVocab);
    model.forward(batch, cache, logits);
    return logits;
  }

  static void expect_same_bits(std::span<const float> a, std::span<const float> b, const std::string& what) {
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size_bytes()), 0) << what;
  }

  TemporaryFolder folder_;
};

TEST_P(Invariance, EverySplitOfAPromptGivesTheSameBits) {
  const auto model = load(2);
  const Sequence sequence = some_sequences()[3];
  const auto expected = alone(*model, sequence);
  const std::span<const Token> tokens = sequence.tokens;
  for (std::size_t cut = 1; cut < tokens.size(); ++cut) {
    const auto cache = model->make_kv_cache(64, kBlockSize);
    step(*model, *cache, {{.tokens = tokens.first(cut), .position = 0, .block_table = sequence.blocks}});
    const auto got = step(*model, *cache,
                          {{.tokens = tokens.subspan(cut),
                            .position = static_cast<int>(cut),
                            .block_table = sequence.blocks,
                            .logit_rows = 1}});
    expect_same_bits(got, expected, "cut at " + std::to_string(cut));
  }
}

TEST_P(Invariance, OneTokenAtATimeGivesTheSameBits) {
  const auto model = load(2);
  const Sequence sequence = some_sequences()[2];
  const auto cache = model->make_kv_cache(64, kBlockSize);
  std::vector<float> got;
  for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
    got = step(*model, *cache,
               {{.tokens = std::span(sequence.tokens).subspan(i, 1),
                 .position = static_cast<int>(i),
                 .block_table = sequence.blocks,
                 .logit_rows = 1}});
  }
  expect_same_bits(got, alone(*model, sequence), "token by token");
}

TEST_P(Invariance, CompanyInTheBatchChangesNoBit) {
  const auto model = load(2);
  auto sequences = some_sequences();
  std::vector<std::vector<float>> expected;
  for (const Sequence& sequence : sequences) {
    expected.push_back(alone(*model, sequence));
  }
  std::vector<std::size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), 0U);
  for (int turn = 0; turn < 6; ++turn) {
    std::vector<SequenceChunk> batch;
    for (const std::size_t i : order) {
      batch.push_back({.tokens = sequences[i].tokens,
                       .position = 0,
                       .block_table = sequences[i].blocks,
                       .logit_rows = 1});
    }
    const auto cache = model->make_kv_cache(64, kBlockSize);
    const auto got = step(*model, *cache, batch);
    for (std::size_t i = 0; i < order.size(); ++i) {
      expect_same_bits(std::span(got).subspan(i * kVocab, kVocab), expected[order[i]],
                       "sequence " + std::to_string(order[i]) + " in turn " + std::to_string(turn));
    }
    std::rotate(order.begin(), order.begin() + 1, order.end());
    std::swap(order[2], order[4]);
  }
}

TEST_P(Invariance, DecodingBesideAPrefillChangesNoBit) {
  const auto model = load(2);
  const auto sequences = some_sequences();
  const Sequence& decoding = sequences[4];
  const Sequence& prompt = sequences[5];
  const auto cache = model->make_kv_cache(64, kBlockSize);
  const std::span<const Token> tokens = decoding.tokens;
  step(*model, *cache, {{.tokens = tokens.first(63), .position = 0, .block_table = decoding.blocks}});
  const auto got =
      step(*model, *cache,
           {{.tokens = prompt.tokens, .position = 0, .block_table = prompt.blocks, .logit_rows = 1},
            {.tokens = tokens.last(1), .position = 63, .block_table = decoding.blocks, .logit_rows = 1}});
  expect_same_bits(std::span(got).first(kVocab), alone(*model, prompt), "prompt");
  expect_same_bits(std::span(got).last(kVocab), alone(*model, decoding), "decoding");
}

TEST_P(Invariance, OtherBlocksGiveTheSameBits) {
  const auto model = load(2);
  Sequence sequence = some_sequences()[5];
  const auto expected = alone(*model, sequence);
  for (int shift = 1; shift < 4; ++shift) {
    for (std::size_t i = 0; i < sequence.blocks.size(); ++i) {
      sequence.blocks[i] = static_cast<int>(i * 17 + static_cast<std::size_t>(shift) * 5) % 64;
    }
    expect_same_bits(alone(*model, sequence), expected, "shift " + std::to_string(shift));
  }
}

TEST_P(Invariance, BlockSizesThatAreMultiplesOf16GiveTheSameBits) {
  const auto model = load(2);
  const Sequence sequence = some_sequences()[5];
  const auto expected = alone(*model, sequence);
  for (const int size : {32, 48, 128}) {
    const auto cache = model->make_kv_cache(64, size);
    const auto got =
        step(*model, *cache,
             {{.tokens = sequence.tokens, .position = 0, .block_table = sequence.blocks, .logit_rows = 1}});
    expect_same_bits(got, expected, "block size " + std::to_string(size));
  }
}

TEST_P(Invariance, GarbageInTheCacheOfOthersChangesNoBit) {
  const auto model = load(2);
  const auto sequences = some_sequences();
  const auto expected = alone(*model, sequences[2]);
  const auto cache = model->make_kv_cache(64, kBlockSize);
  // A longer sequence lived in the same blocks before.
  step(*model, *cache, {{.tokens = sequences[5].tokens, .position = 0, .block_table = sequences[2].blocks}});
  const auto got = step(
      *model, *cache,
      {{.tokens = sequences[2].tokens, .position = 0, .block_table = sequences[2].blocks, .logit_rows = 1}});
  expect_same_bits(got, expected, "reused blocks");
}

TEST_P(Invariance, ThreadCountsGiveTheSameBits) {
  const auto sequence = some_sequences()[4];
  const auto expected = alone(*load(1), sequence);
  for (const int threads : {2, 3, 5}) {
    expect_same_bits(alone(*load(threads), sequence), expected, std::to_string(threads) + " threads");
  }
}

TEST_P(Invariance, InstructionSetsGiveTheSameBits) {
  const auto sequence = some_sequences()[4];
  std::optional<std::vector<float>> expected;
  for (const auto& [set, name] :
       {std::pair(InstructionSet::Scalar, "scalar"), std::pair(InstructionSet::Avx2, "avx2"),
        std::pair(InstructionSet::Avx512, "avx512"), std::pair(InstructionSet::Amx, "amx")}) {
    if (!supported(set)) {
      continue;
    }
    setenv("LLMD_KERNELS", name, 1);
    const auto model = load(1);
    unsetenv("LLMD_KERNELS");
    EXPECT_EQ(model->kernels(), to_string(set));
    const auto got = alone(*model, sequence);
    if (!expected) {
      expected = got;
    }
    expect_same_bits(got, *expected, name);
  }
}

TEST_P(Invariance, APromptLongerThanAPieceEqualsItsChunks) {
  const auto model = load(2);
  const Sequence sequence{some_tokens(700, 5), some_sequences()[0].blocks};
  std::vector<int> blocks(44);
  std::iota(blocks.begin(), blocks.end(), 3);
  const std::span<const Token> tokens = sequence.tokens;
  const auto whole = model->make_kv_cache(64, kBlockSize);
  const auto expected =
      step(*model, *whole, {{.tokens = tokens, .position = 0, .block_table = blocks, .logit_rows = 300}});
  const auto cut = model->make_kv_cache(64, kBlockSize);
  step(*model, *cut, {{.tokens = tokens.first(399), .position = 0, .block_table = blocks}});
  const auto got =
      step(*model, *cut,
           {{.tokens = tokens.subspan(399), .position = 399, .block_table = blocks, .logit_rows = 300}});
  expect_same_bits(got, expected, "700 tokens");
}

INSTANTIATE_TEST_SUITE_P(Model, Invariance,
                         ::testing::Values(TensorType::F32, TensorType::BF16, TensorType::Q4_1,
                                           TensorType::Q8_0, TensorType::Q6_K),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace llmd::engine
