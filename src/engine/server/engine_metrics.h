// /metrics with vLLM's names, labels and buckets, so that its dashboards, autoscalers and endpoint pickers
// work. Numbers come from the engine's thread through atomics; a scrape never waits for the engine.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/observer.h"
#include "engine/server/fake_metrics.h"
#include "metrics/registry.h"

namespace llmd::engine {

struct EngineMetricsOptions {
  std::string model_name;  // first served name
  int max_model_len = 0;
  int block_size = 16;
  int blocks = 0;
  bool prefix_caching = true;
  int max_loras = 0;  // 0: LoRA is off
};

class EngineMetrics final : public Observer {
 public:
  // The registry outlives this object.
  EngineMetrics(metrics::Registry& registry, EngineMetricsOptions options);
  ~EngineMetrics() override;

  // From then on the gauges show this engine; null: zeros again.
  void watch(const Engine* engine);

  // Shows these numbers instead, from now on; then nothing real may be reported. Once, before the first
  // scrape.
  void pretend(const FakeMetrics& fake);

  // For the throughput line of the log.
  struct Totals {
    double prompt = 0;
    double generated = 0;
    double queried = 0;
    double hits = 0;
  };
  Totals totals() const;

  void on_step(const StepReport& report) override;
  void on_admitted(int prompt_tokens, int cached_tokens) override;
  void on_token(bool first, Duration gap) override;
  void on_finished(const Sequence& sequence, int choices, const Timeline& times, FinishReason reason,
                   TimePoint now) override;

 private:
  struct Series;
  void make_counters(metrics::Registry& registry);
  void make_histograms(metrics::Registry& registry);
  void make_gauges(metrics::Registry& registry);

  const EngineMetricsOptions options_;
  const std::shared_ptr<Series> series_;  // shared with the registry's callback
};

// 1, 2, 5, 10, 20, … up to and not above `most`.
std::vector<double> one_two_five(int most);

}  // namespace llmd::engine
