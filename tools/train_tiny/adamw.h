// AdamW over a flat array, with the schedule: linear warm-up, cosine down to a tenth.
#pragma once

#include <span>
#include <vector>

namespace llmd::train_tiny {

struct AdamWOptions {
  int steps = 1000;  // length of the schedule
  int warm_up = 100;
  float peak_rate = 4e-3F;
  float beta1 = 0.9F;
  float beta2 = 0.98F;
  float decay = 0.05F;
  float clip = 1.0F;  // largest norm of the whole gradient
};

class AdamW {
 public:
  // decays[i] says whether weight decay applies to weight i (not to norms).
  AdamW(const AdamWOptions& options, std::vector<bool> decays);
  void update(std::span<const float> gradient, std::span<float> weights);

 private:
  float rate() const;

  AdamWOptions options_;
  std::vector<bool> decays_;
  std::vector<float> mean_, square_;
  int step_ = 0;
};

}  // namespace llmd::train_tiny
