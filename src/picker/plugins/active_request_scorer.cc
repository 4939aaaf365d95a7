#include "picker/plugins/active_request_scorer.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class ActiveRequestScorer final : public Scorer {
 public:
  ActiveRequestScorer(int idle, double busiest) : idle_(idle), busy_score_(busiest) {}

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto running = cycle.column(kInFlightRequests);
    double most = 0;
    for (const Row row : rows) {
      most = std::max<double>(most, running[row]);
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double n = running[rows[i]];
      scores[i] = n <= idle_ ? 1.0 : (most - n) / most * busy_score_;
    }
  }

 private:
  const int idle_;
  const double busy_score_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_active_request_scorer(PluginSetup& setup) {
  int idle = 0;
  double busy = 1.0;
  setup.parameters.read("idleThreshold", idle);
  setup.parameters.read("maxBusyScore", busy);
  setup.parameters.accept({"requestTimeout", "inFlightLoadProducerName"});
  if (busy < 0 || busy > 1) {
    busy = 1.0;  // as upstream
  }
  return std::make_unique<ActiveRequestScorer>(std::max(idle, 0), busy);
}

}  // namespace llmd::picker
