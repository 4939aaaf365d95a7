// Causal attention of one sequence, in blocks of query rows so that most of the masked half is never
// computed.
#include <algorithm>
#include <cmath>

#include "train_tiny/gemm.h"
#include "train_tiny/model.h"

namespace llmd::train_tiny {
namespace {

constexpr int kBlock = 64;

// Where one head's values start for one block of queries.
struct HeadBlock {
  int first;          // first query of the block
  int count;          // queries in it
  int visible;        // keys the last query of the block sees
  std::ptrdiff_t q;   // offset of the first query in a [tokens, query_width] array
  std::ptrdiff_t kv;  // offset of the head's first key in a [tokens, kv_width] array
  std::ptrdiff_t p;   // offset of the first row of probabilities
};

template <typename Visit>
void for_each_block(const Shape& shape, int tokens, Visit visit) {
  const std::ptrdiff_t query_width = shape.query_width();
  for (int head = 0; head < shape.heads; ++head) {
    const int kv_head = head / (shape.heads / shape.kv_heads);
    for (int first = 0; first < tokens; first += kBlock) {
      const int count = std::min(kBlock, tokens - first);
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(head) * tokens + first;
      visit(HeadBlock{first, count, first + count, first * query_width + head * shape.head_dim,
                      static_cast<std::ptrdiff_t>(kv_head) * shape.head_dim, row * tokens});
    }
  }
}

}  // namespace

void Workspace::attend(LayerTrace& layer) {
  const int dim = shape_.head_dim;
  const int query_width = shape_.query_width();
  const int kv_width = shape_.kv_width();
  const float scale = 1 / std::sqrt(static_cast<float>(dim));
  for_each_block(shape_, count_, [&](const HeadBlock& block) {
    float* p = layer.probabilities.data() + block.p;
    gemm(block.count, block.visible, dim, rows(layer.q.data() + block.q, query_width),
         transposed(layer.k.data() + block.kv, kv_width), p, count_);
    for (int i = 0; i < block.count; ++i) {
      float* scores = p + static_cast<std::ptrdiff_t>(i) * count_;
      const int seen = block.first + i + 1;
      std::transform(scores, scores + seen, scores, [scale](float score) { return score * scale; });
      softmax(scores, seen, block.visible);
    }
    gemm(block.count, dim, block.visible, rows(p, count_), rows(layer.v.data() + block.kv, kv_width),
         layer.attended.data() + block.q, query_width);
  });
}

void Workspace::attend_backward(const LayerTrace& layer, const float* dattended, float* dq, float* dk,
                                float* dv) {
  const int dim = shape_.head_dim;
  const int query_width = shape_.query_width();
  const int kv_width = shape_.kv_width();
  const float scale = 1 / std::sqrt(static_cast<float>(dim));
  for_each_block(shape_, count_, [&](const HeadBlock& block) {
    const float* p = layer.probabilities.data() + block.p;
    const View dout = rows(dattended + block.q, query_width);
    gemm(block.visible, dim, block.count, transposed(p, count_), dout, dv + block.kv, kv_width, Store::Add);
    float* ds = dscores_.data();  // first d(probabilities), then d(scores)
    gemm(block.count, block.visible, dim, dout, transposed(layer.v.data() + block.kv, kv_width), ds,
         block.visible);
    for (int i = 0; i < block.count; ++i) {
      float* drow = ds + static_cast<std::ptrdiff_t>(i) * block.visible;
      const float* prow = p + static_cast<std::ptrdiff_t>(i) * count_;
      float dot = 0;
      for (int j = 0; j < block.visible; ++j) {
        dot += drow[j] * prow[j];
      }
      for (int j = 0; j < block.visible; ++j) {
        drow[j] = prow[j] * (drow[j] - dot) * scale;
      }
    }
    gemm(block.count, dim, block.visible, rows(ds, block.visible), rows(layer.k.data() + block.kv, kv_width),
         dq + block.q, query_width);
    gemm(block.visible, dim, block.count, transposed(ds, block.visible),
         rows(layer.q.data() + block.q, query_width), dk + block.kv, kv_width, Store::Add);
  });
}

}  // namespace llmd::train_tiny
