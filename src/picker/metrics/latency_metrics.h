// LatencyMetrics: what the latency predictor said and what came, by model, under llm-d's names. Any thread.
// Private to picker.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "picker/decision.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class LatencyMetrics {
 public:
  LatencyMetrics();
  ~LatencyMetrics();

  struct Observed {
    const Decision::Memory& memory;
    double ttft_ms = 0;  // 0: not seen
    double tpot_ms = 0;
  };
  void observe(const Observed& observed);
  // The predictor was asked about all candidates of a request, and this is how long that took.
  void predicted(std::string_view model, std::string_view target, Duration took);
  void write(Page& page, std::string_view plugin_name, std::string_view plugin_type) const;

 private:
  struct Series;
  // Both models; looked up without a copy.
  struct ByModels {
    using is_transparent = void;
    using Texts = std::pair<std::string, std::string>;
    using Views = std::pair<std::string_view, std::string_view>;
    bool operator()(const Texts& a, const Texts& b) const { return a < b; }
    bool operator()(const Texts& a, const Views& b) const { return Views(a) < b; }
    bool operator()(const Views& a, const Texts& b) const { return a < Views(b); }
  };
  Series& series_of(std::string_view model, std::string_view target);  // under the lock
  mutable std::mutex mutex_;
  std::map<ByModels::Texts, std::unique_ptr<Series>, ByModels> series_;  // at most 1000
};

}  // namespace llmd::picker
