#include "picker/decision.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "picker/flowcontrol/flow_control.h"
#include "picker/metrics/plugin_times.h"
#include "picker/metrics/request_metrics.h"
#include "picker/plan.h"

namespace llmd::picker {

std::string Rejection::body() const {
  return fmt::format("inference error: {} - {}", code, message);
}

Error Rejection::error() const {
  const ErrorKind kind = status == 504 ? ErrorKind::DeadlineExceeded : kind_of_http_status(status);
  return {kind, message, {}};
}

Rejection no_endpoints(std::string message) {
  return {503, "ServiceUnavailable", std::move(message), reason::kNoEndpoints, 1};
}

Rejection saturated(std::string message, int status) {
  return {status, status == 503 ? "ServiceUnavailable" : "ResourceExhausted", std::move(message),
          reason::kSaturated, 1};
}

Rejection precondition_failed(std::string message) {
  return {412, "PreconditionFailed", std::move(message), {}, 0};
}

Rejection not_scheduled(std::string_view message) {
  return {429, "ResourceExhausted", fmt::format("failed to find target endpoint: {}", message), {}, 1};
}

HeaderEdits::HeaderEdits(HeaderEdits&& other) noexcept
    : edits_(other.edits_), count_(std::exchange(other.count_, 0)), copies_(std::move(other.copies_)) {}

HeaderEdits& HeaderEdits::operator=(HeaderEdits&& other) noexcept {
  edits_ = other.edits_;
  count_ = std::exchange(other.count_, 0);
  copies_ = std::move(other.copies_);
  return *this;
}

HeaderEdits::Edit& HeaderEdits::slot(std::string_view name) {
  for (std::size_t i = 0; i < count_; ++i) {
    if (edits_[i].name == name) {
      return edits_[i];
    }
  }
  LLMD_ASSERT(count_ < kMost, "more header edits than any set of plugins makes");
  edits_[count_].name = name;
  return edits_[count_++];
}

void HeaderEdits::set(std::string_view name, std::string_view value) {
  slot(name) = {name, value, false};
}

void HeaderEdits::set_copy(std::string_view name, std::string value) {
  set(name, copies_.emplace_back(std::move(value)));
}

void HeaderEdits::remove(std::string_view name) {
  slot(name) = {name, {}, true};
}

std::optional<std::string_view> HeaderEdits::find(std::string_view name) const {
  for (const Edit& edit : edits()) {
    if (edit.name == name && !edit.remove) {
      return edit.value;
    }
  }
  return std::nullopt;
}

// The request in flow control's list of those that may be taken back.
struct Decision::Eviction {
  Eviction(std::shared_ptr<FlowControl> owner, int priority, std::function<void()> evicted,
           EndpointPtr endpoint)
      : flow(std::move(owner)),
        running{.priority = priority, .evict = std::move(evicted), .endpoint = std::move(endpoint)} {
    flow->add_running(running);
  }
  ~Eviction() { flow->remove_running(running); }
  const std::shared_ptr<FlowControl> flow;
  Evictor::Running running;
};

void Decision::on_evicted(std::function<void()> evicted) {
  if (flow_ && flow_->evicts() && memory.priority < 0 && !eviction_) {
    eviction_ = std::make_unique<Eviction>(flow_, memory.priority, std::move(evicted), lease.endpoint());
  }
}

Decision::Decision() = default;
Decision::Decision(Decision&& other) noexcept = default;
Decision& Decision::operator=(Decision&& other) noexcept {
  if (this != &other) {
    abandon();
    lease = std::move(other.lease);
    prefill_lease = std::move(other.prefill_lease);
    fallbacks = std::move(other.fallbacks);
    encode_leases = std::move(other.encode_leases);
    headers = std::move(other.headers);
    scores = std::move(other.scores);
    explanation_id = other.explanation_id;
    primary_port = other.primary_port;
    candidates = other.candidates;
    left_out = other.left_out;
    score = other.score;
    predicted_cached_tokens = other.predicted_cached_tokens;
    memory = other.memory;
    clock_ = other.clock_;
    plan_ = std::move(other.plan_);
    flow_ = std::move(other.flow_);
    requests_ = std::move(other.requests_);
    eviction_ = std::move(other.eviction_);
  }
  return *this;
}

Decision::~Decision() {
  abandon();
}

void Decision::abandon() {
  complete({.cause = EndCause::ClientGone, .status = 0, .usage = {}});
}

std::string Decision::destinations() const {
  const auto text_of = [this](const EndpointState& endpoint) {
    return primary_port < 0
               ? endpoint.destination
               : net::Address{endpoint.endpoint.address.host, static_cast<std::uint16_t>(primary_port)}
                     .to_string();
  };
  std::string all = text_of(*lease.endpoint());
  for (const EndpointPtr& fallback : fallbacks) {
    all += ',' + text_of(*fallback);
  }
  return all;
}

std::string Decision::explanation() const {
  std::string text =
      fmt::format("{} ({}): score {:.3f}, best of {}, {} requests running", endpoint().name,
                  endpoint().address.to_string(), score, candidates, lease.endpoint()->running() - 1);
  if (left_out > 0) {
    text += fmt::format("; {} left out: refuses connections", left_out);
  }
  return text;
}

void Decision::response_headers(int status, HeaderView view, HeaderEdits& edits) {
  if (plan_) {
    Stopwatch watch(plan_->times.get(), memory.measured);
    for (const RequestHook* hook : plan_->hooks) {
      hook->response_headers(*this, status, view, edits);
      watch.lap(PluginTimes::Point::ResponseReceived, *hook);
    }
  }
}

void Decision::undelivered() const {
  if (lease) {
    lease.endpoint()->suspect();
  }
}

// The time between two neighbours: the last of 32 and the first of the next.
void Decision::measure_piece() {
  const TimePoint now = clock_->now();
  if ((memory.pieces & 31) == 1 && memory.pieces > 1 && requests_) {
    requests_->gap(memory, now - memory.measured_piece);
  }
  memory.measured_piece = now;
}

void Decision::first_token() {
  if (!plan_ || memory.first_token != TimePoint()) {
    return;
  }
  memory.first_token = clock_->now();
  for (const RequestHook* hook : plan_->hooks) {
    hook->first_token(*this);
  }
  lease.release_tokens();
  prefill_lease.release();
  if (flow_) {
    flow_->poke();
  }
}

void Decision::complete(const Completion& completion) {
  if (const auto plan = std::exchange(plan_, nullptr)) {
    Stopwatch watch(plan->times.get(), memory.measured);
    for (const RequestHook* hook : plan->hooks) {
      hook->completed(*this, completion);
      watch.lap(PluginTimes::Point::ResponseStreaming, *hook);
    }
  }
  if (const auto requests = std::exchange(requests_, nullptr)) {
    requests->ended(memory, completion, clock_->now());
  }
  lease.release();
  prefill_lease.release();
  encode_leases.clear();
  eviction_.reset();
  if (const auto flow = std::exchange(flow_, nullptr)) {
    flow->poke();
  }
}

}  // namespace llmd::picker
