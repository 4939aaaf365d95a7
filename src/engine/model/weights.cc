#include "engine/model/weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace llmd::engine {
namespace {

using modelfile::TensorView;

// Where a matrix's rows come from.
struct PackJob {
  Linear* to;
  const TensorView* from;
  int interleaved_head = 0;  // head dimension when rows of a head stand in interleaved order; else 0
};

// Row r of a head in half-split order is row 2r (first half) or 2(r - half) + 1 (second half) of the
// interleaved one.
int source_row(const PackJob& job, int row) {
  if (job.interleaved_head == 0) {
    return row;
  }
  const int half = job.interleaved_head / 2;
  const int within = row % job.interleaved_head;
  return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}

void pack(const PackJob& job, int tile) {
  PackedMatrix& matrix = job.to->matrix;
  const std::size_t row_bytes = job.from->bytes.size() / static_cast<std::size_t>(matrix.rows);
  const std::byte* rows[kTileRows] = {};
  for (int r = 0; r < matrix.rows_in(tile); ++r) {
    const auto row = static_cast<std::size_t>(source_row(job, tile * kTileRows + r));
    rows[r] = job.from->bytes.data() + row * row_bytes;
  }
  pack_tile(matrix, tile, rows);
}

// The file's pages of a packed matrix are not read again (an embedding's rows may be: they fault back in).
// Dropping them from this process leaves them in the page cache, where other processes find them.
void release_pages(const TensorView& view) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(view.bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(view.bytes.data() + view.bytes.size()) / page * page;
  if (begin < end) {
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

class Loader {
 public:
  explicit Loader(const ModelSource& source) : source_(source), config_(source.config()) {}

  Result<void> plan(Weights& weights);
  void place(Weights& weights);
  void pack_all(ComputePool& pool);

 private:
  Result<const TensorView*> tensor(Part part, int layer, std::vector<std::int64_t> shape) const;
  Result<std::vector<float>> vector(Part part, int layer, int count, int padded_count) const;
  Result<void> matrix(Linear& to, Part part, int layer, int rows, int columns);
  Result<void> bias(Linear& to, Part part, int layer, int rows) const;
  Result<void> plan_layer(Layer& layer, int index);

  const ModelSource& source_;
  const ModelConfig& config_;
  std::vector<PackJob> jobs_;
};

Result<const TensorView*> Loader::tensor(Part part, int layer, std::vector<std::int64_t> shape) const {
  const TensorView* const view = source_.find(part, layer);
  if (view == nullptr) {
    return data_loss("tensor {} is missing", source_.name_of(part, layer));
  }
  if (view->shape != shape) {
    return data_loss("tensor {}: shape [{}], expected [{}]", source_.name_of(part, layer),
                     fmt::join(view->shape, ", "), fmt::join(shape, ", "));
  }
  return view;
}

Result<std::vector<float>> Loader::vector(Part part, int layer, int count, int padded_count) const {
  LLMD_TRY(const auto* view, tensor(part, layer, {count}));
  std::vector<float> values(static_cast<std::size_t>(padded_count));
  dequantise_row(view->type, view->bytes.data(), std::span(values).first(static_cast<std::size_t>(count)));
  return values;
}

Result<void> Loader::matrix(Linear& to, Part part, int layer, int rows, int columns) {
  LLMD_TRY(const auto* view, tensor(part, layer, {rows, columns}));
  to.matrix = PackedMatrix(view->type, rows, columns);
  const bool rotated = part == Part::Query || part == Part::Key;
  jobs_.push_back({&to, view, rotated && source_.interleaved_rotation() ? config_.head_dim : 0});
  return {};
}

Result<void> Loader::bias(Linear& to, Part part, int layer, int rows) const {
  if (source_.find(part, layer) == nullptr) {
    return config_.family == Family::Qwen2
               ? Result<void>(data_loss("tensor {} is missing", source_.name_of(part, layer)))
               : Result<void>();
  }
  if (source_.interleaved_rotation()) {
    return unimplemented("tensor {}: biases of this family are not supported", source_.name_of(part, layer));
  }
  LLMD_TRY(to.bias, vector(part, layer, rows, rows));
  return {};
}

Result<void> Loader::plan_layer(Layer& layer, int index) {
  const int hidden = config_.hidden_size;
  const int queries = config_.heads * config_.head_dim;
  const int keys = config_.kv_heads * config_.head_dim;
  const int wide = config_.feed_forward;
  LLMD_TRY(layer.attention_norm, vector(Part::AttentionNorm, index, hidden, padded(hidden)));
  LLMD_TRY_VOID(matrix(layer.query, Part::Query, index, queries, hidden));
  LLMD_TRY_VOID(matrix(layer.key, Part::Key, index, keys, hidden));
  LLMD_TRY_VOID(matrix(layer.value, Part::Value, index, keys, hidden));
  LLMD_TRY_VOID(matrix(layer.output, Part::Output, index, hidden, queries));
  LLMD_TRY_VOID(bias(layer.query, Part::QueryBias, index, queries));
  LLMD_TRY_VOID(bias(layer.key, Part::KeyBias, index, keys));
  LLMD_TRY_VOID(bias(layer.value, Part::ValueBias, index, keys));
  LLMD_TRY(layer.feed_forward_norm, vector(Part::FeedForwardNorm, index, hidden, padded(hidden)));
  LLMD_TRY_VOID(matrix(layer.gate, Part::Gate, index, wide, hidden));
  LLMD_TRY_VOID(matrix(layer.up, Part::Up, index, wide, hidden));
  return matrix(layer.down, Part::Down, index, hidden, wide);
}

Result<void> Loader::plan(Weights& weights) {
  const int hidden = config_.hidden_size;
  LLMD_TRY(const auto* embedding, tensor(Part::Embedding, 0, {config_.vocab_size, hidden}));
  weights.embedding = *embedding;
  weights.layers.resize(static_cast<std::size_t>(config_.layers));
  for (int i = 0; i < config_.layers; ++i) {
    LLMD_TRY_VOID(plan_layer(weights.layers[static_cast<std::size_t>(i)], i));
  }
  LLMD_TRY(weights.final_norm, vector(Part::FinalNorm, 0, hidden, padded(hidden)));
  return matrix(weights.head, config_.tied_embeddings ? Part::Embedding : Part::Head, 0, config_.vocab_size,
                hidden);
}

void Loader::place(Weights& weights) {
  constexpr std::size_t kLine = 64;
  std::size_t total = 0;
  const auto reserve = [&total](std::size_t bytes) {
    return std::exchange(total, (total + bytes + kLine - 1) / kLine * kLine);
  };
  std::vector<std::size_t> offsets;
  for (const PackJob& job : jobs_) {
    offsets.push_back(reserve(job.to->matrix.bytes()));
  }
  weights.memory = AlignedBuffer(total);
  for (std::size_t i = 0; i < jobs_.size(); ++i) {
    jobs_[i].to->matrix.data = weights.memory.data() + offsets[i];
  }
}

void Loader::pack_all(ComputePool& pool) {
  pool.run([this](Worker& worker) {
    for (const PackJob& job : jobs_) {
      worker.share(job.to->matrix.tiles(), 4, [&job](int tile) { pack(job, tile); });
    }
  });
  for (const PackJob& job : jobs_) {
    release_pages(*job.from);
  }
}

}  // namespace

Result<Weights> load_weights(const ModelSource& source, ComputePool& pool) {
  Weights weights;
  Loader loader(source);
  LLMD_TRY_VOID(loader.plan(weights));
  loader.place(weights);
  loader.pack_all(pool);
  return weights;
}

}  // namespace llmd::engine
