// Decision: where a request goes, what to tell the others about it, and the one place that is told how it
// ends. Rejection: why it goes nowhere.
#pragma once

#include <algorithm>
#include <array>
#include <expected>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "picker/endpoint.h"
#include "picker/request.h"

namespace llmd::picker {

struct Plan;
class FlowControl;
class RequestMetrics;

// Why a request is not served, in the words of the protocol towards proxies.
struct Rejection {
  int status = 503;
  std::string_view code = "ServiceUnavailable";  // BadRequest, ResourceExhausted, Internal, …
  std::string message;
  std::string_view reason;  // value of x-llm-d-request-dropped-reason; empty: none
  int retry_after = 0;      // seconds for Retry-After; 0: none

  std::string body() const;  // "inference error: CODE - MESSAGE"
  Error error() const;
};

namespace reason {
inline constexpr std::string_view kSaturated = "rejected-saturated";
inline constexpr std::string_view kExpired = "rejected-ttl-expired";
inline constexpr std::string_view kCancelled = "rejected-context-cancelled";
inline constexpr std::string_view kNoEndpoints = "rejected-no-endpoints";
inline constexpr std::string_view kShuttingDown = "rejected-shutting-down";
inline constexpr std::string_view kDisplaced = "evicted-queue-pressure";
inline constexpr std::string_view kEvicted = "evicted";
}  // namespace reason

Rejection no_endpoints(std::string message);                 // 503
Rejection saturated(std::string message, int status = 429);  // 429
Rejection precondition_failed(std::string message);          // 412
Rejection not_scheduled(std::string_view message);           // 429 "failed to find target endpoint: …"

// Changes of a message's headers. Values are views that live as long as the decision.
class HeaderEdits {
 public:
  struct Edit {
    std::string_view name;  // lower case, a literal or as long-lived as the plan
    std::string_view value;
    bool remove = false;
  };
  HeaderEdits() = default;
  HeaderEdits(HeaderEdits&& other) noexcept;
  HeaderEdits& operator=(HeaderEdits&& other) noexcept;

  void set(std::string_view name, std::string_view value);  // `value` outlives the decision
  void set_copy(std::string_view name, std::string value);
  void remove(std::string_view name);
  std::span<const Edit> edits() const { return {edits_.data(), count_}; }
  std::optional<std::string_view> find(std::string_view name) const;

 private:
  Edit& slot(std::string_view name);
  static constexpr std::size_t kMost = 12;
  std::array<Edit, kMost> edits_;
  std::size_t count_ = 0;
  std::list<std::string> copies_;
};

// Texts of a request that are needed until its end, without allocation. Longer ones are cut.
template <std::size_t N>
class FixedText {
 public:
  FixedText& operator=(std::string_view text) {
    size_ = std::min(text.size(), N);
    std::copy_n(text.data(), size_, bytes_.data());
    return *this;
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, N> bytes_;
  std::size_t size_ = 0;
};

// Belongs to one request; not thread-safe, but may move between threads. Destroying it ends the request: what
// was not completed by then was abandoned by its client.
class Decision {
 public:
  Decision();
  Decision(Decision&& other) noexcept;
  Decision& operator=(Decision&& other) noexcept;
  ~Decision();

  Lease lease;                         // on the chosen endpoint
  Lease prefill_lease;                 // on the prefill endpoint, if there is one
  std::vector<EndpointPtr> fallbacks;  // to be tried in this order when the chosen one cannot be reached
  std::vector<Lease> encode_leases;

  const EndpointIdentity& endpoint() const { return lease.endpoint()->endpoint; }
  const EndpointIdentity* prefill() const {
    return prefill_lease ? &prefill_lease.endpoint()->endpoint : nullptr;
  }
  // "10.0.0.1:8000", with the fallbacks after commas; with data parallelism the port that serves all ranks.
  std::string destinations() const;

  HeaderEdits headers;                        // for the request: x-prefiller-host-port and the like
  std::uint64_t explanation_id = 0;           // Picker::explain
  int primary_port = -1;                      // -1: the endpoint's own
  int candidates = 0;                         // endpoints that were eligible
  int left_out = 0;                           // endpoints that refuse connections, and others do not
  float score = 0;                            // of the chosen one
  std::int64_t predicted_cached_tokens = -1;  // -1: nothing was predicted
  // Weighted sums of all endpoints that the primary profile scored, only if asked for (emit_scores).
  std::vector<std::pair<EndpointPtr, float>> scores;
  // One line: why here.
  std::string explanation() const;

  // The engine answers. `edits` collects headers to set on the answer.
  void response_headers(int status, HeaderView headers, HeaderEdits& edits);
  // The proxy answers itself: it could not deliver the request. Its endpoint counts as one that refuses
  // connections until its scraper has looked again.
  void undelivered() const;
  // The first byte of the answer's body: the prompt has been read.
  void first_token();
  // Another piece of a streamed answer passed by. Costs an addition; one of 32 is measured.
  void piece() {
    if ((++memory.pieces & 31) <= 1) {
      measure_piece();
    }
  }
  // Called on any thread when flow control wants this request's room back for one of a higher priority; the
  // owner then ends it with EndCause::Evicted. At most once, and only for requests that may be shed.
  void on_evicted(std::function<void()> evicted);
  // The answer is over; further calls do nothing. Not calling it means that the client left.
  void complete(const Completion& completion);

  // What hooks remember between the decision and the end.
  struct Memory {
    FixedText<128> request_id;
    FixedText<128> model;
    FixedText<128> target_model;
    FixedText<96> fairness_id;
    int priority = 0;
    bool stream = false;
    TimePoint received;
    TimePoint decided;
    TimePoint first_token;  // epoch: not yet
    TimePoint measured_piece;
    std::uint32_t pieces = 0;
    std::uint64_t measured = 0;  // weight of its plugins' times; 0: not measured
    std::size_t request_bytes = 0;
    std::int64_t prompt_tokens = 0;
    float predicted_ttft_ms = 0;  // 0: nothing was predicted
    float predicted_tpot_ms = 0;
    float ttft_slo_ms = 0;  // 0: none
    float tpot_slo_ms = 0;
    std::array<float, 16> features{};  // of the latency predictor
    bool featured = false;
  };
  Memory memory;

 private:
  friend class Picker;
  struct Eviction;
  void abandon();
  void measure_piece();
  const Clock* clock_ = &system_clock();      // the picker's
  std::shared_ptr<const Plan> plan_;          // whose hooks are called; null: none
  std::shared_ptr<FlowControl> flow_;         // that hears of the end; null: none
  std::shared_ptr<RequestMetrics> requests_;  // that counts it; null: none
  std::unique_ptr<Eviction> eviction_;        // null: it stays
};

}  // namespace llmd::picker
