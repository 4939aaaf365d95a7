// Metrics of the server around the engine: HTTP requests by route, and the process itself. Names are those of
// vLLM's Python server.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "metrics/registry.h"

namespace llmd::engine {

class HttpMetrics {
 public:
  explicit HttpMetrics(metrics::Registry& registry);

  // `route`: the path of the route that answered, "none" for unknown paths.
  void count(std::string_view route, std::string_view method, int status, Duration duration);
  // Makes series of every route and status class, so that a page has the size of a busy server's.
  void fill(std::span<const std::string_view> routes);

 private:
  metrics::Family<metrics::Counter>& requests_;
  metrics::Family<metrics::Histogram>& seconds_;
};

// process_resident_memory_bytes and the like, read from /proc when somebody looks.
void add_process_metrics(metrics::Registry& registry);

}  // namespace llmd::engine
