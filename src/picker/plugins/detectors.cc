#include "picker/plugins/detectors.h"

#include <algorithm>
#include <cmath>

namespace llmd::picker {
namespace {

constexpr Duration kUsualInterval = std::chrono::milliseconds(50);  // between two pages

struct Utilization {
  double queue = 5;
  double kv = 0.8;
  Duration staleness = std::chrono::milliseconds(200);
  double headroom = 0;
};

class UtilizationDetector final : public SaturationDetector, public Filter {
 public:
  explicit UtilizationDetector(Utilization limits)
      : limits_(limits), staleness_(std::chrono::duration<float>(limits.staleness).count()) {}

  double saturation(const Cycle& cycle, std::span<const Row> rows) const override {
    if (rows.empty()) {
      return 1;
    }
    double sum = 0;
    for (const Row row : rows) {
      sum += is_stale(cycle, row)
                 ? 1.0
                 : std::max(cycle.at(kWaiting, row) / limits_.queue, cycle.at(kKvUsage, row) / limits_.kv);
    }
    return sum / static_cast<double>(rows.size());
  }

  // The next page, and until older numbers have lost their trust; a quarter of a second for the way there.
  Duration settles_in() const override {
    return kUsualInterval + limits_.staleness + std::chrono::milliseconds(250);
  }

  std::size_t stale(const Cycle& cycle, std::span<const Row> rows) const override {
    return static_cast<std::size_t>(
        std::ranges::count_if(rows, [&](Row row) { return is_stale(cycle, row); }));
  }

  // Fails open: when nobody has room, everybody stays.
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const double factor = 1 + limits_.headroom;
    const auto is_full = [&](Row row) {
      return is_stale(cycle, row) || cycle.at(kWaiting, row) >= limits_.queue * factor ||
             cycle.at(kKvUsage, row) >= limits_.kv * factor;
    };
    if (!std::ranges::all_of(rows, is_full)) {
      std::erase_if(rows, is_full);
    }
  }

 private:
  bool is_stale(const Cycle& cycle, Row row) const { return cycle.at(kAge, row) > staleness_; }
  const Utilization limits_;
  const float staleness_;
};

struct Concurrency {
  double requests = 100;
  double tokens = 1'000'000;
  double headroom = 0;
  int mode = 0;  // requests, tokens, hybrid
};

class ConcurrencyDetector final : public SaturationDetector, public Filter {
 public:
  explicit ConcurrencyDetector(Concurrency limits) : limits_(limits) {}

  double saturation(const Cycle& cycle, std::span<const Row> rows) const override {
    if (rows.empty()) {
      return 1;
    }
    double sum = 0;
    for (const Row row : rows) {
      sum += load(cycle, row);
    }
    return sum / static_cast<double>(rows.size());
  }

  // Leases end at once.
  Duration settles_in() const override { return std::chrono::milliseconds(10); }

  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const double factor = 1 + limits_.headroom;
    const double requests = std::floor(limits_.requests * factor);
    const double tokens = std::floor(limits_.tokens * factor);
    std::erase_if(rows, [&](Row row) {
      const bool too_many = cycle.at(kInFlightRequests, row) >= requests;
      const bool too_long = cycle.at(kInFlightTokens, row) >= tokens;
      return (limits_.mode != 1 && too_many) || (limits_.mode != 0 && too_long);
    });
  }

 private:
  double load(const Cycle& cycle, Row row) const {
    const double requests = cycle.at(kInFlightRequests, row) / limits_.requests;
    const double tokens = cycle.at(kInFlightTokens, row) / limits_.tokens;
    return limits_.mode == 0 ? requests : limits_.mode == 1 ? tokens : std::max(requests, tokens);
  }
  const Concurrency limits_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_utilization_detector(PluginSetup& setup) {
  Utilization limits;
  setup.parameters.read("queueDepthThreshold", limits.queue);
  setup.parameters.read("kvCacheUtilThreshold", limits.kv);
  setup.parameters.read("metricsStalenessThreshold", limits.staleness);
  setup.parameters.read("headroom", limits.headroom);
  if (limits.queue <= 0) {
    setup.parameters.reject("queueDepthThreshold", "must be positive");
  }
  if (limits.kv <= 0 || limits.kv > 1) {
    setup.parameters.reject("kvCacheUtilThreshold", "must be greater than 0 and at most 1");
  }
  return std::make_unique<UtilizationDetector>(limits);
}

Result<std::unique_ptr<Plugin>> make_concurrency_detector(PluginSetup& setup) {
  Concurrency limits;
  setup.parameters.read("maxConcurrency", limits.requests);
  setup.parameters.read("maxTokenConcurrency", limits.tokens);
  setup.parameters.read("headroom", limits.headroom);
  setup.parameters.read_choice("concurrencyMode", limits.mode, {"requests", "tokens", "hybrid"});
  setup.parameters.accept({"inFlightLoadProducerName"});
  if (limits.requests <= 0 || limits.tokens <= 0) {
    setup.parameters.reject("maxConcurrency", "limits must be positive");
  }
  return std::make_unique<ConcurrencyDetector>(limits);
}

}  // namespace llmd::picker
