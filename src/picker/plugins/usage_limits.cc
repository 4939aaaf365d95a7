#include "picker/plugins/usage_limits.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace llmd::picker {
namespace {

class StaticLimit final : public UsageLimit {
 public:
  explicit StaticLimit(double threshold) : threshold_(threshold) {}
  void ceilings(std::span<const int>, double, std::span<double> ceilings) const override {
    std::ranges::fill(ceilings, threshold_);
  }

 private:
  const double threshold_;
};

class Holdback final : public UsageLimit {
 public:
  Holdback(double low, double high, bool by_value) : low_(low), high_(high), by_value_(by_value) {}
  void ceilings(std::span<const int> priorities, double, std::span<double> ceilings) const override {
    const std::size_t n = priorities.size();
    for (std::size_t i = 0; i < n; ++i) {
      const double range = static_cast<double>(priorities.front()) - priorities.back();
      const double below = n == 1 ? 0
                           : by_value_ && range > 0
                               ? (static_cast<double>(priorities.front()) - priorities[i]) / range
                               : static_cast<double>(i) / static_cast<double>(n - 1);
      ceilings[i] = high_ - below * (high_ - low_);
    }
  }

 private:
  const double low_;
  const double high_;
  const bool by_value_;
};

class SoftReflective final : public UsageLimit {
 public:
  void ceilings(std::span<const int> priorities, double saturation,
                std::span<double> ceilings) const override {
    const std::size_t n = priorities.size();
    const std::uint64_t call = calls_.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < n; ++i) {
      const double share = n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) : 0;
      if (i == 0 || saturation < 1 - share * saturation) {
        ceilings[i] = 1;
      } else if (saturation >= 1) {
        ceilings[i] = 0;
      } else {
        const double period = std::max(1.0, std::round(saturation / (1 - saturation)));
        ceilings[i] = call % static_cast<std::uint64_t>(period) == 0 ? 1 : 0;
      }
    }
  }

 private:
  mutable std::atomic<std::uint64_t> calls_{0};
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_static_usage_limit(PluginSetup& setup) {
  double threshold = 1;
  setup.parameters.read("threshold", threshold);
  return std::make_unique<StaticLimit>(threshold);
}

Result<std::unique_ptr<Plugin>> make_priority_holdback(PluginSetup& setup) {
  int shape = 0;
  int domain = 0;
  double low = -1;
  double high = 1;
  setup.parameters.read_choice("shape", shape, {"linear"});
  setup.parameters.read_choice("domain", domain, {"rank", "value"});
  setup.parameters.read("minCeiling", low);
  setup.parameters.read("maxCeiling", high);
  if (low < 0 || low >= 1) {
    setup.parameters.reject("minCeiling", "is required and must be in [0, 1)");
  }
  if (high <= 0 || high > 1 || low >= high) {
    setup.parameters.reject("maxCeiling", "must be in (0, 1] and above minCeiling");
  }
  return std::make_unique<Holdback>(low, high, domain == 1);
}

Result<std::unique_ptr<Plugin>> make_soft_reflective_ceiling(PluginSetup& setup) {
  static_cast<void>(setup);
  return std::make_unique<SoftReflective>();
}

}  // namespace llmd::picker
