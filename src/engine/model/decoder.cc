#include "engine/model/decoder.h"

#include <algorithm>
#include <cmath>

namespace llmd::engine {
namespace {

// Pieces of work per worker: enough to even out a worker that loses its core, few enough to keep taking
// cheap.
constexpr int kPiecesPerWorker = 4;
constexpr int kMostTilesAtOnce = 64;

// Rows one by one. Quantised rows of one group share cache lines, so a group is one worker's where there are
// enough of them.
template <typename Body>
void share_rows(Worker& worker, int rows, Body body) {
  const int even = (rows + worker.threads() - 1) / worker.threads();
  worker.share(rows, std::clamp(even, 1, kQuantRowGroup), body);
}

}  // namespace

Decoder::Decoder(const DecoderParts& parts, Scratch& scratch, const PagedCache& cache, const Piece& piece,
                 std::span<float> logits)
    : parts_(parts),
      config_(parts.config),
      kernels_(parts.kernels),
      scratch_(scratch),
      cache_(cache),
      piece_(piece),
      logits_(logits) {
  plan_attention();
}

void Decoder::run(Worker& worker) const {
  embed(worker);
  for (int index = 0; index < config_.layers; ++index) {
    layer(worker, index);
  }
  if (!piece_.logit_rows.empty()) {
    head(worker);
  }
}

void Decoder::embed(Worker& worker) const {
  const auto& embedding = parts_.weights.embedding;
  const std::size_t row_bytes = embedding.bytes.size() / static_cast<std::size_t>(config_.vocab_size);
  share_rows(worker, tokens(), [&](int row) {
    const auto token = static_cast<std::size_t>(piece_.tokens[static_cast<std::size_t>(row)]);
    dequantise_row(embedding.type, embedding.bytes.data() + token * row_bytes,
                   {scratch_.hidden.row(row), static_cast<std::size_t>(config_.hidden_size)});
    // The angle is a product of floats, as everywhere else; only its sine and cosine are taken in double.
    const auto position = static_cast<float>(piece_.positions[static_cast<std::size_t>(row)]);
    for (std::size_t i = 0; i < parts_.frequencies.size(); ++i) {
      const double angle = position * parts_.frequencies[i];
      scratch_.cosine.row(row)[i] = static_cast<float>(std::cos(angle));
      scratch_.sine.row(row)[i] = static_cast<float>(std::sin(angle));
    }
  });
}

void Decoder::normalise(Worker& worker, const std::vector<float>& norm) const {
  const QuantRows quantised = scratch_.quantised(config_.hidden_size);
  share_rows(worker, tokens(), [&](int row) {
    float* const out = scratch_.normal.row(row);
    kernels_.rms_norm(scratch_.hidden.row(row), norm.data(), config_.hidden_size, padded(config_.hidden_size),
                      config_.norm_epsilon, out);
    kernels_.quantise(out, quantised, row);
  });
}

void Decoder::layer(Worker& worker, int index) const {
  const Layer& weights = parts_.weights.layers[static_cast<std::size_t>(index)];
  const int queries = config_.heads * config_.head_dim;
  const Rows& q = scratch_.query;
  float* const k = q.data + scratch_.key_offset;
  float* const v = q.data + scratch_.value_offset;
  const Rows& x = scratch_.hidden;

  normalise(worker, weights.attention_norm);
  const Product qkv[] = {
      {&weights.query, q.data, q.stride}, {&weights.key, k, q.stride}, {&weights.value, v, q.stride}};
  multiply(worker, qkv, input(scratch_.normal, config_.hidden_size));
  const Adapted adapted_qkv[] = {{LoraTarget::Query, q.data, q.stride},
                                 {LoraTarget::Key, k, q.stride},
                                 {LoraTarget::Value, v, q.stride}};
  adapt(worker, index, adapted_qkv, scratch_.normal);

  share_rows(worker, tokens(), [&](int row) { rotate_and_store(index, row); });
  worker.share(static_cast<int>(attention_units_.size()), 1,
               [&](int unit) { attend(worker, index, attention_units_[static_cast<std::size_t>(unit)]); });
  const Input attended = input(scratch_.attention, queries);
  share_rows(worker, tokens(),
             [&](int row) { kernels_.quantise(scratch_.attention.row(row), attended.quantised, row); });
  const Product output[] = {{&weights.output, x.data, x.stride, true}};
  multiply(worker, output, attended);
  const Adapted adapted_output[] = {{LoraTarget::Output, x.data, x.stride}};
  adapt(worker, index, adapted_output, scratch_.attention);

  normalise(worker, weights.feed_forward_norm);
  const Rows& g = scratch_.gate;
  float* const u = g.data + scratch_.up_offset;
  const Product gate_up[] = {{&weights.gate, g.data, g.stride}, {&weights.up, u, g.stride}};
  multiply(worker, gate_up, input(scratch_.normal, config_.hidden_size));
  const Adapted adapted_gate_up[] = {{LoraTarget::Gate, g.data, g.stride}, {LoraTarget::Up, u, g.stride}};
  adapt(worker, index, adapted_gate_up, scratch_.normal);

  const Input activated = input(scratch_.product, config_.feed_forward);
  share_rows(worker, tokens(), [&](int row) {
    float* const out = scratch_.product.row(row);
    kernels_.silu_multiply(g.row(row), g.row(row) + scratch_.up_offset, padded(config_.feed_forward), out);
    kernels_.quantise(out, activated.quantised, row);
  });
  const Product down[] = {{&weights.down, x.data, x.stride, true}};
  multiply(worker, down, activated);
  const Adapted adapted_down[] = {{LoraTarget::Down, x.data, x.stride}};
  adapt(worker, index, adapted_down, scratch_.product);
}

void Decoder::head(Worker& worker) const {
  // A row of logits is wanted for few of the tokens: those rows are gathered first.
  const int count = static_cast<int>(piece_.logit_rows.size());
  const QuantRows quantised = scratch_.quantised(config_.hidden_size);
  share_rows(worker, count, [&](int i) {
    float* const out = scratch_.normal.row(i);
    kernels_.rms_norm(scratch_.hidden.row(piece_.logit_rows[static_cast<std::size_t>(i)].row),
                      parts_.weights.final_norm.data(), config_.hidden_size, padded(config_.hidden_size),
                      config_.norm_epsilon, out);
    kernels_.quantise(out, quantised, i);
  });
  // The rows of a piece lie one after the other in the caller's logits.
  const auto vocabulary = static_cast<std::size_t>(config_.vocab_size);
  const Product product[] = {{&parts_.weights.head,
                              logits_.data() + piece_.logit_rows.front().to * vocabulary,
                              static_cast<std::ptrdiff_t>(vocabulary)}};
  multiply(worker, product, {quantised, scratch_.normal, count});
}

void Decoder::multiply(Worker& worker, std::span<const Product> products, const Input& in) const {
  int tiles = 0;
  for (const Product& product : products) {
    tiles += product.linear->matrix.tiles();
  }
  const int share = std::clamp(tiles / (worker.threads() * kPiecesPerWorker), 1, kMostTilesAtOnce);
  const int grain = (share + 1) / 2 * 2;  // kernels like pairs
  const auto pieces = [grain](const Product& product) {
    return (product.linear->matrix.tiles() + grain - 1) / grain;
  };
  int all = 0;
  for (const Product& product : products) {
    all += pieces(product);
  }
  worker.share(all, 1, [&](int piece) {
    const Product* product = products.data();
    for (; piece >= pieces(*product); ++product) {
      piece -= pieces(*product);
    }
    multiply_rows(*product, piece * grain * kTileRows, grain * kTileRows, in);
  });
}

void Decoder::multiply_rows(const Product& product, int first, int count, const Input& in) const {
  const PackedMatrix& matrix = product.linear->matrix;
  const int rows = std::min(count, matrix.rows - first);
  float* const out = product.out + first;
  kernels_.gemm({.type = matrix.type,
                 .tile = matrix.tile(first / kTileRows),
                 .tile_bytes = matrix.tile_bytes,
                 .rows = rows,
                 .columns = matrix.columns,
                 .quantised = in.quantised,
                 .x = in.rows.data,
                 .x_stride = in.rows.stride,
                 .tokens = in.count,
                 .out = out,
                 .out_stride = product.out_stride,
                 .accumulate = product.accumulate});
  if (!product.linear->bias.empty()) {
    const float* const bias = product.linear->bias.data() + first;
    for (int t = 0; t < in.count; ++t) {
      for (int r = 0; r < rows; ++r) {
        out[t * product.out_stride + r] += bias[r];
      }
    }
  }
}

void Decoder::adapt(Worker& worker, int layer, std::span<const Adapted> targets, const Rows& in) const {
  if (!piece_.adapters) {
    return;
  }
  const int count = static_cast<int>(targets.size());
  const int units = count * static_cast<int>(piece_.segments.size());
  // Calls body(pair, segment, target index) for unit = segment * count + target where there is an adapter.
  const auto each = [&](int unit, const auto& body) {
    const Segment& segment = piece_.segments[static_cast<std::size_t>(unit / count)];
    const Adapted& adapted = targets[static_cast<std::size_t>(unit % count)];
    if (segment.adapter != nullptr && segment.adapter->pair(layer, adapted.target).present()) {
      body(segment.adapter->pair(layer, adapted.target), segment, adapted);
    }
  };
  const auto product = [&](const PackedMatrix& matrix, const Rows& from, const Segment& segment, float* out,
                           std::ptrdiff_t stride, bool accumulate) {
    kernels_.gemm({.type = matrix.type,
                   .tile = matrix.data,
                   .tile_bytes = matrix.tile_bytes,
                   .rows = matrix.rows,
                   .columns = matrix.columns,
                   .quantised = {},
                   .x = from.row(segment.first_row),
                   .x_stride = from.stride,
                   .tokens = segment.rows,
                   .out = out + segment.first_row * stride,
                   .out_stride = stride,
                   .accumulate = accumulate});
  };
  const auto part_of = [&](LoraTarget target) {
    Rows rows = scratch_.low_rank;
    rows.data += static_cast<std::ptrdiff_t>(target) * scratch_.low_rank_width;
    return rows;
  };
  worker.share(units, 1, [&](int unit) {
    each(unit, [&](const LoraPair& pair, const Segment& segment, const Adapted& adapted) {
      const Rows part = part_of(adapted.target);
      product(pair.down, in, segment, part.data, part.stride, false);
    });
  });
  worker.share(units, 1, [&](int unit) {
    each(unit, [&](const LoraPair& pair, const Segment& segment, const Adapted& adapted) {
      product(pair.up, part_of(adapted.target), segment, adapted.out, adapted.out_stride, true);
    });
  });
}

}  // namespace llmd::engine
