// Attention over a paged cache, written in terms of Lanes (see lanes.h for the rules).
//
// Per row: all scores first, then their maximum, then exponentials and their sum (16 lanes, position p in
// lane p mod 16, fixed tree), then the weighted values in order of position. No running rescale: the result
// has no trace of how positions were grouped. A score sums over dimensions in order.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/lanes.h"

namespace llmd::engine {
namespace {

LLMD_INLINE int groups_per_block(const AttentionCall& call) {
  return (call.block_size + kKeyGroup - 1) / kKeyGroup;
}

// Where a group of the sequence's positions lies. The last group of a block may be partly used when the block
// size is no multiple of 16.
struct KeyGroup {
  const std::uint16_t* keys;
  const std::uint16_t* values;
  int first;     // position of lane 0
  int capacity;  // lanes that hold positions at all
};

// Walks over the groups in order of position, without a division per group.
class KeyCursor {
 public:
  LLMD_INLINE KeyCursor(const AttentionCall& call, int group)
      : call_(call),
        per_block_(groups_per_block(call)),
        width_((call.head_dim + kLanes - 1) / kLanes * kLanes),
        block_(group / per_block_),
        inner_(group % per_block_) {}

  LLMD_INLINE void next() {
    if (++inner_ == per_block_) {
      inner_ = 0;
      ++block_;
    }
  }
  LLMD_INLINE KeyGroup group() const {
    const std::uint16_t* const base = call_.keys + call_.block_table[block_] * call_.block_stride;
    const int left = call_.block_size - inner_ * kKeyGroup;
    return {base + static_cast<std::ptrdiff_t>(inner_) * kKeyGroup * call_.head_dim,
            base + call_.values + static_cast<std::ptrdiff_t>(inner_) * kKeyGroup * width_,
            block_ * call_.block_size + inner_ * kKeyGroup, left < kKeyGroup ? left : kKeyGroup};
  }

 private:
  const AttentionCall& call_;
  int per_block_;
  int width_;
  int block_;
  int inner_;
};

LLMD_INLINE int groups_for(const AttentionCall& call, int length) {
  const int blocks = length / call.block_size;
  const int rest = length - blocks * call.block_size;
  return blocks * groups_per_block(call) + (rest + kKeyGroup - 1) / kKeyGroup;
}
LLMD_INLINE int lanes_seen(const KeyGroup& group, int length) {
  const int seen = length - group.first;
  return seen < group.capacity ? seen : group.capacity;
}

// The queries of a pass side by side, a fixed distance apart: a pointer per row would not fit into registers.
// check() in model/source.h bounds the dimension.
inline constexpr int kMostDimensions = 1024;
template <int kRows>
struct Queries {
  float values[kRows][kMostDimensions + kLanes];  // apart by no power of two: rows share no cache set

  LLMD_INLINE explicit Queries(const AttentionCall& call) {
    for (int r = 0; r < kRows; ++r) {
      __builtin_memcpy(values[r], call.queries[r], static_cast<std::size_t>(call.head_dim) * sizeof(float));
    }
  }
};

// Blocks lie far apart, so the hardware prefetcher starts anew in each: the keys after these are fetched
// meanwhile.
template <int kRows, int kGroups>
LLMD_INLINE void score_groups(const AttentionCall& call, const Queries<kRows>& queries, int group,
                              const std::uint16_t* const (&keys)[kGroups],
                              const std::uint16_t* const (&next_keys)[kGroups]) {
  Lanes sum[kRows][kGroups] = {};
  for (int d = 0; d < call.head_dim; ++d) {
    Lanes key[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      key[g] = load_half(keys[g] + d * kKeyGroup);
      __builtin_prefetch(next_keys[g] + d * kKeyGroup);
    }
    for (int r = 0; r < kRows; ++r) {
      const Lanes query = queries.values[r][d];
      for (int g = 0; g < kGroups; ++g) {
        sum[r][g] = fma(key[g], query, sum[r][g]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int g = 0; g < kGroups; ++g) {
      store(call.scores + r * call.score_stride + (group + g) * kKeyGroup, sum[r][g] * call.scale);
    }
  }
}

// As many groups at once as there are registers for their sums: few rows alone would wait for their own
// chains.
template <int kRows>
constexpr int score_groups_at_once() {
  constexpr int kMost = 4;
  constexpr int kFit = kMostSums / kRows;
  return kFit < 1 ? 1 : kFit < kMost ? kFit : kMost;
}

template <int kRows>
LLMD_INLINE void score(const AttentionCall& call, int groups) {
  constexpr int kGroups = score_groups_at_once<kRows>();
  const Queries<kRows> queries(call);
  KeyCursor cursor(call, 0);
  const std::uint16_t* now[kGroups] = {};
  const std::uint16_t* next[kGroups] = {};
  const auto take = [&](int first) {
    for (int g = 0; g < kGroups && first + g < groups; ++g) {
      next[g] = cursor.group().keys;
      cursor.next();
    }
  };
  take(0);
  int g = 0;
  for (; g + kGroups <= groups; g += kGroups) {
    for (int i = 0; i < kGroups; ++i) {
      now[i] = next[i];
    }
    take(g + kGroups);
    score_groups<kRows, kGroups>(call, queries, g, now, next);
  }
  for (int i = 0; g < groups; ++g, ++i) {
    const std::uint16_t* const last[1] = {next[i]};
    score_groups<kRows, 1>(call, queries, g, last, last);
  }
}

// Turns a row's scores into exponentials; returns their sum. Lanes past the row's length become zero.
LLMD_INLINE float soften(const AttentionCall& call, int row) {
  float* const scores = call.scores + row * call.score_stride;
  const int length = call.lengths[row];
  const int groups = groups_for(call, length);
  const IntLanes lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const bool whole_blocks = call.block_size % kKeyGroup == 0;
  Lanes top = -__builtin_inff();
  KeyCursor cursor(call, 0);
  for (int g = 0; g < groups; ++g, cursor.next()) {
    Lanes score = load(scores + g * kKeyGroup);
    if (!whole_blocks || g == groups - 1) {
      const IntLanes seen = lanes_seen(cursor.group(), length);
      score = lane < seen ? score : Lanes(-__builtin_inff());
      store(scores + g * kKeyGroup, score);
    }
    top = larger(top, score);
  }
  const Lanes largest = largest_lane(top);
  Lanes sum = 0.0F;
  for (int g = 0; g < groups; ++g) {
    const Lanes score = load(scores + g * kKeyGroup);
    Lanes weight = exponential(score - largest);
    weight = score > -__builtin_inff() ? weight : Lanes(0.0F);
    store(scores + g * kKeyGroup, weight);
    sum = sum + weight;
  }
  return add_lanes(sum);
}

// Adds `count` positions of one group for kRows rows starting at `row`.
template <int kRows, int kVectors>
LLMD_INLINE void add_values(const AttentionCall& call, int row, const std::uint16_t* values,
                            const std::uint16_t* next, int width, int slot, int count,
                            Lanes (&sum)[kRows][kVectors]) {
  float weights[kRows][kKeyGroup];  // at fixed distances, as with queries
  for (int r = 0; r < kRows; ++r) {
    store(weights[r], load(call.scores + (row + r) * call.score_stride + slot));
  }
  for (int j = 0; j < count; ++j, values += width, next += width) {
    __builtin_prefetch(next);
    Lanes value[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      value[v] = load_half(values + v * kLanes);
    }
    for (int r = 0; r < kRows; ++r) {
      const Lanes weight = weights[r][j];
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = fma(value[v], weight, sum[r][v]);
      }
    }
  }
}

// kVectors * 16 dimensions from `dimension` of the weighted values of all rows. Groups that every row sees
// whole are shared; the rest is done row by row, so that a row never touches a position it does not see.
template <int kRows, int kVectors>
LLMD_INLINE void mix_values(const AttentionCall& call, int dimension, int width, const float* sums) {
  int shortest = call.lengths[0];
  for (int r = 1; r < kRows; ++r) {
    shortest = call.lengths[r] < shortest ? call.lengths[r] : shortest;
  }
  Lanes sum[kRows][kVectors] = {};
  const int all = groups_for(call, shortest);
  int shared = 0;
  KeyCursor cursor(call, 0);
  for (; shared < all; ++shared) {
    const KeyGroup group = cursor.group();
    if (group.first + group.capacity > shortest) {
      break;
    }
    cursor.next();
    const std::uint16_t* const next = shared + 1 < all ? cursor.group().values : group.values;
    add_values<kRows, kVectors>(call, 0, group.values + dimension, next + dimension, width,
                                shared * kKeyGroup, group.capacity, sum);
  }
  for (int r = 0; r < kRows; ++r) {
    Lanes one[1][kVectors];
    for (int v = 0; v < kVectors; ++v) {
      one[0][v] = sum[r][v];
    }
    KeyCursor own = cursor;
    const int groups = groups_for(call, call.lengths[r]);
    for (int g = shared; g < groups; ++g, own.next()) {
      const KeyGroup group = own.group();
      const std::uint16_t* const values = group.values + dimension;
      add_values<1, kVectors>(call, r, values, values, width, g * kKeyGroup,
                              lanes_seen(group, call.lengths[r]), one);
    }
    for (int v = 0; v < kVectors; ++v) {
      const Lanes result = one[0][v] * (1.0F / sums[r]);
      const int first = dimension + v * kLanes;
      if (first + kLanes <= call.head_dim) {
        store(call.out[r] + first, result);
        continue;
      }
      for (int i = 0; i < kLanes && first + i < call.head_dim; ++i) {
        call.out[r][first + i] = result[i];
      }
    }
  }
}

template <int kRows>
void attend_rows(const AttentionCall& call) {
  const int width = (call.head_dim + kLanes - 1) / kLanes * kLanes;
  int longest = 0;
  for (int r = 0; r < kRows; ++r) {
    longest = call.lengths[r] > longest ? call.lengths[r] : longest;
  }
  score<kRows>(call, groups_for(call, longest));
  float sums[kRows];
  for (int r = 0; r < kRows; ++r) {
    sums[r] = soften(call, r);
  }
  int d = 0;
  for (; d + kValueVectors * kLanes <= width; d += kValueVectors * kLanes) {
    mix_values<kRows, kValueVectors>(call, d, width, sums);
  }
  for (; d < width; d += kLanes) {
    mix_values<kRows, 1>(call, d, width, sums);
  }
}

// Rows are independent; they only share loads. So a call may be cut into smaller ones.
template <int kRows>
void attend_up_to(const AttentionCall& call) {
  AttentionCall rest = call;
  while (rest.rows >= kRows) {
    attend_rows<kRows>(rest);
    rest.rows -= kRows;
    rest.queries += kRows;
    rest.out += kRows;
    rest.lengths += kRows;
  }
  if constexpr (kRows > 1) {
    if (rest.rows > 0) {
      attend_up_to<kRows - 1>(rest);
    }
  }
}

void attend(const AttentionCall& call) {
  attend_up_to<kMostRows>(call);
}

}  // namespace
}  // namespace llmd::engine
