// Attention over a paged cache against the textbook in double precision, and every instruction set against
// the oracle.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/kernels/quant_block.h"

namespace llmd::engine {
namespace {

// One key/value head of a cache filled with random halves; unused positions hold NaN, so that reading one
// shows.
struct Cache {
  int block_size;
  int dim;
  int groups;
  int width;
  std::vector<int> table;
  std::vector<std::uint16_t> memory;

  Cache(std::mt19937& random, int size, int head_dim, int length)
      : block_size(size), dim(head_dim), groups((size + 15) / 16), width((head_dim + 15) / 16 * 16) {
    const int blocks = (length + size - 1) / size;
    for (int i = 0; i < blocks; ++i) {
      table.push_back((i * 3 + 1) % (blocks * 3 + 2));
    }
    memory.assign(static_cast<std::size_t>(stride()) * static_cast<std::size_t>(blocks * 3 + 2),
                  float_to_half(std::numeric_limits<float>::quiet_NaN()));
    std::normal_distribution<float> normal(0, 1);
    for (int position = 0; position < length; ++position) {
      for (int d = 0; d < dim; ++d) {
        key(position, d) = float_to_half(normal(random));
        value(position, d) = float_to_half(normal(random));
      }
    }
  }

  std::ptrdiff_t values() const { return static_cast<std::ptrdiff_t>(groups) * 16 * dim; }
  std::ptrdiff_t stride() const { return values() + static_cast<std::ptrdiff_t>(groups) * 16 * width; }
  std::size_t at(int position) const {
    return static_cast<std::size_t>(table[static_cast<std::size_t>(position / block_size)] * stride());
  }
  std::uint16_t& key(int position, int d) {
    const int offset = position % block_size;
    return memory[at(position) + static_cast<std::size_t>(offset / 16 * 16 * dim + d * 16 + offset % 16)];
  }
  std::uint16_t& value(int position, int d) {
    return memory[at(position) + static_cast<std::size_t>(values() + position % block_size * width + d)];
  }
};

std::vector<float> attend(const Kernels& kernels, const Cache& cache,
                          const std::vector<std::vector<float>>& queries, const std::vector<int>& lengths) {
  std::vector<float> out(queries.size() * static_cast<std::size_t>(cache.dim));
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    from.push_back(queries[i].data());
    to.push_back(out.data() + i * static_cast<std::size_t>(cache.dim));
  }
  const auto slots = static_cast<std::ptrdiff_t>(cache.table.size()) * cache.groups * 16;
  std::vector<float> scores(static_cast<std::size_t>(slots) * queries.size());
  kernels.attend({.keys = cache.memory.data(),
                  .block_stride = cache.stride(),
                  .values = cache.values(),
                  .block_table = cache.table.data(),
                  .block_size = cache.block_size,
                  .head_dim = cache.dim,
                  .scale = 0.2F,
                  .rows = static_cast<int>(queries.size()),
                  .queries = from.data(),
                  .out = to.data(),
                  .lengths = lengths.data(),
                  .scores = scores.data(),
                  .score_stride = slots});
  return out;
}

std::vector<double> textbook(Cache& cache, const std::vector<float>& query, int length) {
  std::vector<double> weights;
  double total = 0;
  for (int p = 0; p < length; ++p) {
    double score = 0;
    for (int d = 0; d < cache.dim; ++d) {
      score += static_cast<double>(query[static_cast<std::size_t>(d)]) *
               static_cast<double>(half_to_float(cache.key(p, d)));
    }
    weights.push_back(std::exp(0.2 * score));
    total += weights.back();
  }
  std::vector<double> out(static_cast<std::size_t>(cache.dim));
  for (int p = 0; p < length; ++p) {
    for (int d = 0; d < cache.dim; ++d) {
      out[static_cast<std::size_t>(d)] += weights[static_cast<std::size_t>(p)] / total *
                                          static_cast<double>(half_to_float(cache.value(p, d)));
    }
  }
  return out;
}

struct Case {
  int block_size;
  int dim;
  std::vector<int> lengths;
};

class Attention : public ::testing::TestWithParam<Case> {};

TEST_P(Attention, AgreesWithTheTextbookAndSetsAgreeToTheBit) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1);
  const auto& [block_size, dim, lengths] = GetParam();
  Cache cache(random, block_size, dim, *std::max_element(lengths.begin(), lengths.end()));
  std::vector<std::vector<float>> queries;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    queries.emplace_back(static_cast<std::size_t>(dim));
    for (float& value : queries.back()) {
      value = normal(random);
    }
  }
  const auto oracle = attend(kScalarKernels, cache, queries, lengths);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto expected = textbook(cache, queries[i], lengths[i]);
    for (std::size_t d = 0; d < expected.size(); ++d) {
      EXPECT_NEAR(oracle[i * expected.size() + d], expected[d], 2e-6) << "row " << i << " dimension " << d;
    }
  }
  for (const auto set : {InstructionSet::Avx2, InstructionSet::Avx512, InstructionSet::Amx}) {
    if (supported(set)) {
      const auto got = attend(kernels_for(set), cache, queries, lengths);
      EXPECT_EQ(std::memcmp(got.data(), oracle.data(), got.size() * sizeof(float)), 0) << to_string(set);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Attention,
                         ::testing::Values(Case{16, 64, {1}}, Case{16, 64, {37, 37, 37}},
                                           Case{16, 64, {5, 16, 17, 31, 32, 33, 64, 200}},
                                           Case{32, 24, {40, 41, 42, 43, 44}}, Case{16, 80, {100, 101}},
                                           Case{7, 16, {1, 7, 8, 30}},
                                           Case{48, 128, {300, 299, 298, 297, 296, 295}},
                                           Case{16, 64, {90, 90, 90, 91, 91, 91, 92, 92, 92, 93, 93, 93}},
                                           Case{32, 40, {70, 3, 64, 65, 1, 33, 32, 31, 70, 16, 17}},
                                           Case{128, 20, {129, 1, 128, 127, 3, 2, 90}}));

}  // namespace
}  // namespace llmd::engine
