// Metrics of requests by model, under the names of llm-d (llm_d_epp_*) and of GIE (inference_objective_*), so
// that dashboards made for them work, and a few of our own. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "metrics/registry.h"
#include "picker/request.h"

namespace llmd::gateway {

struct ObservedRequest {
  std::string_view model;         // as the client wrote it, if it is served; else "unknown"
  std::string_view target_model;  // as the engine saw it
  std::string_view key;           // name of the API key
  bool stream = false;
  int status = 0;
  std::size_t request_bytes = 0;
  std::size_t response_bytes = 0;
  Duration duration = {};
  Duration first_byte = {};  // zero: no byte came
  std::int64_t events = 0;
  picker::Usage usage = {};
};

class RequestMetrics {
 public:
  RequestMetrics();
  ~RequestMetrics();

  void begun(std::string_view model);  // counted as running until ended()
  void ended(std::string_view model);
  void observe(const ObservedRequest& request);

  // Refused before they had a model: unauthenticated, rate_limited, model_not_allowed, unknown_model,
  // bad_request.
  void refused(std::string_view reason);
  void owners_disagreed();
  void waited_for_model();
  std::string write_text() const { return registry_.write_text(); }

 private:
  struct Families;
  metrics::Registry registry_;
  std::unique_ptr<Families> families_;
};

}  // namespace llmd::gateway
