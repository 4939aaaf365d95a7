#include "train_tiny/trainer.h"

#include <algorithm>
#include <thread>

namespace llmd::train_tiny {
namespace {

double counted(const std::vector<Row>& rows) {
  double sum = 0;
  for (const Row& row : rows) {
    for (const float weight : row.weights) {
      sum += weight;
    }
  }
  return std::max(sum, 1e-9);
}

std::vector<Row> rows_for_step(Random& random, const TrainOptions& options, int step, Style style) {
  const bool is_long = step > options.optimiser.steps * (1 - options.long_share);
  const int length = is_long ? 2 * options.row_length : options.row_length;
  std::vector<Row> rows;
  for (int i = is_long ? std::max(1, options.rows_per_step / 2) : options.rows_per_step; i > 0; --i) {
    rows.push_back(make_row(random, length, style));
  }
  return rows;
}

std::vector<bool> decaying(const std::vector<Weight>& weights) {
  std::vector<bool> decays;
  for (const Weight& weight : weights) {
    decays.insert(decays.end(), weight.size(), weight.rows > 1);
  }
  return decays;
}

// Averages the losses between reports.
class Progress {
 public:
  explicit Progress(const Report& report) : report_(report) {}
  void add(int step, double loss) {
    sum_ += loss;
    if (++count_ == kReportEvery) {
      report_(step, sum_ / count_);
      sum_ = count_ = 0;
    }
  }

 private:
  const Report& report_;
  double sum_ = 0;
  int count_ = 0;
};

}  // namespace

Batch::Batch(const Shape& shape, int max_tokens, int threads) {
  const std::size_t total = Layout(shape).total;
  for (int i = 0; i < threads; ++i) {
    parts_.push_back({Workspace(shape, max_tokens), std::vector<float>(total), 0});
  }
}

template <typename Work>
void Batch::run(const std::vector<Row>& rows, Work work) {
  std::vector<std::jthread> threads;
  for (std::size_t first = 0; first < parts_.size(); ++first) {
    threads.emplace_back([this, first, &rows, &work] {
      parts_[first].loss = 0;
      for (std::size_t i = first; i < rows.size(); i += parts_.size()) {
        work(parts_[first], rows[i]);
      }
    });
  }
}

double Batch::loss_and_gradient(std::span<const float> weights, const std::vector<Row>& rows) {
  const double count = counted(rows);
  for (Part& part : parts_) {
    std::ranges::fill(part.gradient, 0.0F);
  }
  run(rows, [&](Part& part, const Row& row) {
    part.loss += part.workspace.loss_and_gradient(weights, row, static_cast<float>(1 / count), part.gradient);
  });
  double loss = parts_.front().loss;
  for (std::size_t i = 1; i < parts_.size(); ++i) {
    loss += parts_[i].loss;
    std::ranges::transform(parts_.front().gradient, parts_[i].gradient, parts_.front().gradient.begin(),
                           std::plus{});
  }
  return loss / count;
}

double Batch::loss(std::span<const float> weights, const std::vector<Row>& rows) {
  run(rows, [&](Part& part, const Row& row) { part.loss += part.workspace.loss(weights, row); });
  double loss = 0;
  for (const Part& part : parts_) {
    loss += part.loss;
  }
  return loss / counted(rows);
}

std::vector<float> train_base(const Shape& shape, const TrainOptions& options, const Report& report) {
  std::vector<float> weights = initial_weights(shape, options.seed);
  Batch batch(shape, 2 * options.row_length, options.threads);
  AdamW optimiser(options.optimiser, decaying(Layout(shape).all()));
  Random random(options.seed);
  Progress progress(report);
  for (int step = 1; step <= options.optimiser.steps; ++step) {
    progress.add(step, batch.loss_and_gradient(weights, rows_for_step(random, options, step, Style::Plain)));
    optimiser.update(batch.gradient(), weights);
  }
  return weights;
}

std::vector<float> train_adapter(const Shape& shape, const LoraLayout& layout, std::span<const float> base,
                                 const TrainOptions& options, const Report& report) {
  std::vector<float> adapter = initial_lora(layout, options.seed);
  std::vector<float> gradient(layout.total);
  Batch batch(shape, 2 * options.row_length, options.threads);
  AdamW optimiser(options.optimiser, decaying(layout.all()));
  Random random(options.seed);
  Progress progress(report);
  for (int step = 1; step <= options.optimiser.steps; ++step) {
    const std::vector<float> weights = merged(layout, base, adapter);
    progress.add(step, batch.loss_and_gradient(weights, rows_for_step(random, options, step, Style::Shout)));
    adapter_gradient(layout, batch.gradient(), adapter, gradient);
    optimiser.update(gradient, adapter);
  }
  return adapter;
}

double evaluate(const Shape& shape, std::span<const float> weights, Style style, std::uint64_t seed,
                int count) {
  constexpr int kLength = 256;
  Random random(seed);
  std::vector<Row> rows;
  for (int i = 0; i < count; ++i) {
    rows.push_back(make_row(random, kLength, style));
  }
  return Batch(shape, kLength, 1).loss(weights, rows);
}

}  // namespace llmd::train_tiny
