// LatencyMetrics: what the latency predictor said and what came, by model, under llm-d's names. Any thread.
// Private to picker.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

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
  void write(Page& page, std::string_view plugin_name, std::string_view plugin_type) const;

 private:
  struct Series;
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>> series_;  // by both models; at most 1000
};

}  // namespace llmd::picker
