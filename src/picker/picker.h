// Picker: which endpoint of a pool serves a request.
//
// Without a configuration it takes the endpoint with the fewest requests, ties in turn; with an
// EndpointPickerConfig (config.h) it runs what that says.
//
//   LLMD_TRY(const auto picker, Picker::from_config(text, "picker.yaml", {.metrics = &registry}));
//   picker->update(endpoints);                       // whenever they change
//   auto decided = picker->pick(request);            // or: co_await picker->decide(request, deadline)
//   …send to decided->endpoint() with decided->headers…
//   decided->response_headers(…); decided->first_token(); decided->complete({.usage = …});
//
// Any thread: the endpoints are an immutable snapshot, swapped by update(); leases are atomic counters; what
// a decision needs is kept per thread. pick() allocates nothing once it has warmed up.
#pragma once

#include <atomic>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "async/deadline.h"
#include "async/snapshot.h"
#include "base/result.h"
#include "json/value.h"
#include "picker/config.h"
#include "picker/decision.h"
#include "picker/endpoint.h"
#include "picker/request.h"

namespace llmd::metrics {
class Registry;
}
namespace llmd::trace {
class Tracer;
}

namespace llmd::picker {

class Cycle;
class Evaluation;
class Page;
class Recorder;
class Stopwatch;
struct Stages;
class FlowControl;
struct Plan;
class PickerMetrics;
struct PoolView;
class RequestMetrics;
struct SpanParent;

template <typename T>
using PickResult = std::expected<T, Rejection>;

struct PickerOptions {
  LoadOptions load;
  std::string pool = "default";          // name in metrics
  metrics::Registry* metrics = nullptr;  // outlives the picker; for one picker in a registry
  std::shared_ptr<PickerMetrics> shared_metrics = nullptr;  // instead, for many (picker_metrics.h)
  const Clock* clock = &system_clock();
  std::size_t explanations = 10'000;  // decisions remembered; 0: none
  bool request_metrics = false;       // also of requests: llm_d_epp_request_* and the older names
  bool emit_scores = false;           // Decision::scores
  bool subset_filter = true;          // honour Request::subset
  int shed_status = 429;              // 503 for proxies that expect it
  // Of spans that belong to no request (spans.h); outlives the picker. Null: there are none.
  const trace::Tracer* tracer = nullptr;
};

class Picker {
 public:
  Picker();  // fewest requests first
  static Result<std::unique_ptr<Picker>> from_config(std::string_view text, std::string_view source_name,
                                                     PickerOptions options = {});
  static Result<std::unique_ptr<Picker>> from_config(Configuration configuration, PickerOptions options = {});
  ~Picker();
  Picker(const Picker&) = delete;

  // Decides at once. `exclude`: endpoints that failed for this request; `parent`: where its spans belong
  // (spans.h), null: no spans.
  PickResult<Decision> pick(const Request& request, std::span<const EndpointPtr> exclude = {},
                            const SpanParent* parent = nullptr) const;

  // The same behind flow control, if the configuration turned it on: waits until the pool has room for the
  // request's priority and flow; then with those that arrive at the same time, if a plugin decides jointly.
  // Views of the request, and `parent`, must live until the task ends.
  Task<PickResult<Decision>> decide(Request request, async::Deadline deadline,
                                    const SpanParent* parent = nullptr) const;

  // Whether decide() may wait at all: otherwise pick() says the same.
  bool waits() const;

  // Any endpoint for a request that has no body to look at (GET /v1/models).
  PickResult<Decision> pick_any(const Request& request) const;

  // One caller at a time; pick() may run meanwhile.
  void update(std::vector<Endpoint> endpoints);
  std::shared_ptr<const EndpointSnapshot> endpoints() const { return snapshot_.load(); }

  // For the metrics: a request that went nowhere, whoever refused it. `code` as in Rejection.
  void refused(const Request& request, std::string_view code) const;

  // For the metrics: a model that configuration names; it always gets series of its own.
  void know_model(std::string_view model) const;

  // For the metrics: what it took to read the body of a request, or of its answer. Counts `times` times.
  enum class Parsed { Request, Response };
  void parsed(Parsed what, std::string_view path, Duration took, std::uint64_t times) const;

  // Scrapers call it after they changed an endpoint's numbers: waiting requests may have room now.
  void numbers_changed() const;
  // Priorities of existing objectives; each gets a band of its own in flow control.
  void set_priorities(std::span<const int> priorities) const;
  // Ends flow control: everything that waits is rejected.
  void shut_down() const;

  // One decision, newest first by `last`; null when it is no longer remembered.
  json::Value explain(std::string_view request_id) const;
  json::Value explain_last(std::size_t count) const;
  // Everything remembered, for replay.h.
  std::string export_explanations() const;
  // What plugins tell about themselves, endpoints and their numbers: /debug.
  json::Value debug_state() const;

  const Plan& plan() const { return *plan_; }
  const PickerOptions& options() const { return options_; }

 private:
  Picker(std::shared_ptr<const Plan> plan, PickerOptions options);
  Request with_flow(Request request) const;
  Task<std::string> agree(const Request& request, async::Deadline deadline) const;
  PickResult<Decision> pick_now(const Request& request, std::span<const EndpointPtr> exclude,
                                const SpanParent* parent) const;
  PickResult<Decision> conclude(const Request& request, const Cycle& cycle, const Evaluation& evaluation,
                                Stopwatch& watch) const;
  std::unexpected<Rejection> reject(const Cycle& cycle, const Stages& stages, Rejection rejection) const;
  void make_flow_control();
  PoolView pool_view() const;
  void write_metrics(Page& page) const;

  const PickerOptions options_;
  const std::shared_ptr<const Plan> plan_;
  async::Snapshot<EndpointSnapshot> snapshot_;
  std::shared_ptr<PickerMetrics> metrics_;    // null: nobody counts
  std::shared_ptr<RequestMetrics> requests_;  // null: somebody else does
  std::unique_ptr<Recorder> recorder_;
  std::shared_ptr<FlowControl> flow_;  // null: the gate is off
  mutable std::atomic<std::uint64_t> sequence_{0};
};

}  // namespace llmd::picker
