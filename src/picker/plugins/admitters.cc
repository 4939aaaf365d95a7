#include "picker/plugins/admitters.h"

#include <algorithm>
#include <cmath>

namespace llmd::picker {
namespace {

struct Shedding {
  double queue = 5;
  double kv = 0.8;
  double power = 5;
  double k = 300;
};

class ProbabilisticAdmitter final : public Admitter {
 public:
  explicit ProbabilisticAdmitter(Shedding shedding) : shedding_(shedding) {}
  bool admits(Cycle& cycle) const override {
    if (cycle.request().priority >= 0 || cycle.candidates().empty()) {
      return true;
    }
    double sum = 0;
    for (const Row row : cycle.candidates()) {
      sum += std::isinf(cycle.at(kAge, row)) ? 1.0
                                             : std::max(cycle.at(kWaiting, row) / shedding_.queue,
                                                        cycle.at(kKvUsage, row) / shedding_.kv);
    }
    const double saturation = sum / static_cast<double>(cycle.candidates().size());
    return cycle.random().uniform() >= std::min(shedding_.k * std::pow(saturation, shedding_.power), 1.0);
  }

 private:
  const Shedding shedding_;
};

class LatencySloAdmitter final : public Admitter {
 public:
  explicit LatencySloAdmitter(LatencyColumns latency) : latency_(latency) {}
  bool admits(Cycle& cycle) const override {
    const Request& request = cycle.request();
    const bool has_objective =
        request.headers.find("x-llm-d-slo-ttft-ms") || request.headers.find("x-slo-ttft-ms") ||
        request.headers.find("x-llm-d-slo-tpot-ms") || request.headers.find("x-slo-tpot-ms");
    if (request.priority >= 0 || !has_objective) {
      return true;
    }
    bool predicted = false;
    for (const Row row : cycle.candidates()) {
      predicted = predicted || cycle.at(latency_.known, row) > 0;
      if (cycle.at(latency_.valid, row) > 0 || cycle.at(kRunning, row) == 0 ||
          cycle.at(kKvUsage, row) < 0.02F) {
        return true;
      }
    }
    return !predicted;
  }

 private:
  const LatencyColumns latency_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_probabilistic_admitter(PluginSetup& setup) {
  Shedding shedding;
  const std::pair<std::string_view, double*> numbers[] = {{"queueDepthThreshold", &shedding.queue},
                                                          {"kvCacheUtilThreshold", &shedding.kv},
                                                          {"power", &shedding.power},
                                                          {"k", &shedding.k}};
  for (const auto& [name, number] : numbers) {
    setup.parameters.read(name, *number);
    if (*number <= 0) {
      setup.parameters.reject(name, "must be positive");
    }
  }
  return std::make_unique<ProbabilisticAdmitter>(shedding);
}

Result<std::unique_ptr<Plugin>> make_latency_slo_admitter(PluginSetup& setup) {
  return std::make_unique<LatencySloAdmitter>(setup.required_latency());
}

}  // namespace llmd::picker
