// Training loops for the base model and for an adapter. Rows of a batch are spread over threads; each has its
// own workspace and gradient, which are summed in thread order: same seed, threads and CPU kind give the same
// weights.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "train_tiny/adamw.h"
#include "train_tiny/corpus.h"
#include "train_tiny/lora.h"
#include "train_tiny/model.h"

namespace llmd::train_tiny {

struct TrainOptions {
  AdamWOptions optimiser;
  int rows_per_step = 8;
  int row_length = 256;
  double long_share = 0.15;  // the last part of the steps sees rows of twice the length, half as many
  int threads = 2;
  std::uint64_t seed = 1;
};

// Called every `kReportEvery` steps with the mean training loss since the last report (nats per counted
// token).
using Report = std::function<void(int step, double loss)>;
inline constexpr int kReportEvery = 50;

// Loss and gradient of a batch, on several threads.
class Batch {
 public:
  Batch(const Shape& shape, int max_tokens, int threads);
  // Mean loss; the gradient of the mean is in gradient() afterwards.
  double loss_and_gradient(std::span<const float> weights, const std::vector<Row>& rows);
  std::span<const float> gradient() const { return parts_.front().gradient; }
  double loss(std::span<const float> weights, const std::vector<Row>& rows);

 private:
  struct Part {
    Workspace workspace;
    std::vector<float> gradient;
    double loss = 0;
  };
  template <typename Work>
  void run(const std::vector<Row>& rows, Work work);

  std::vector<Part> parts_;
};

std::vector<float> train_base(const Shape& shape, const TrainOptions& options, const Report& report);
std::vector<float> train_adapter(const Shape& shape, const LoraLayout& layout, std::span<const float> base,
                                 const TrainOptions& options, const Report& report);

// Mean loss on `count` rows of the seed's stream; 0 nats would mean certainty about every answer byte.
double evaluate(const Shape& shape, std::span<const float> weights, Style style, std::uint64_t seed,
                int count);

}  // namespace llmd::train_tiny
