// Metrics of decisions, under the names of llm-d's endpoint picker and, beside them, the older names that
// dashboards still use. One object per registry serves many pickers; each appears with its pool's name.
//
// Any thread. The registry outlives the object.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "metrics/registry.h"
#include "picker/metrics/decision_metrics.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class RequestMetrics;

// What a page wants to know of one picker at the time it is written.
struct PoolView {
  std::shared_ptr<const EndpointSnapshot> endpoints;
  bool flow_control = false;
  double saturation = 0;  // as flow control sees it
  std::optional<double> prefill_saturation;
  std::optional<double> decode_saturation;
  std::size_t waiting = 0;
  std::size_t stale = 0;  // endpoints whose numbers the detector does not trust
  std::string_view detector;
};

class PickerMetrics {
 public:
  explicit PickerMetrics(metrics::Registry& registry);

  struct Pool {
    std::function<PoolView()> look;
    std::function<void(Page&)> write;  // what plugins and flow control know
  };
  // Until remove(), which waits for a page that is being written.
  void add_pool(const std::string& name, Pool pool);
  void remove_pool(const std::string& name);
  // Of all pools of the registry; made on the first call.
  std::shared_ptr<RequestMetrics> requests();

  void decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took);
  void rejected(const Cycle& cycle, Duration took);

 private:
  // Shared with the page's callback, which lives as long as the registry.
  struct Pools {
    std::mutex mutex;
    std::map<std::string, Pool> pools;
    std::shared_ptr<RequestMetrics> requests;
    DecisionMetrics decisions;
    void write(metrics::TextWriter& writer);
  };
  const std::shared_ptr<Pools> pools_;
};

}  // namespace llmd::picker
