// --fake-metrics: numbers for /metrics that somebody thought up, for tests of pickers, autoscalers and
// dashboards. With them a simulated engine's real numbers are not shown; what is not named is zero.
//
//   {"running-requests": 3, "waiting-requests": "oscillate:0:10:30s", "kv-cache-usage": "ramp:0:0.9:1m",
//    "loras": [{"running": "a,b", "waiting": "c", "timestamp": 1700000000}],
//    "ttft-buckets-values": [10, 20, 30], "request-success-total": {"stop": 20}, "total-prompt-tokens": 999}
//
// Functions of the time since the server was ready, FUNCTION:START:END:PERIOD:
//   oscillate   from START to END and back in every period, as a cosine
//   ramp        from START to END in the first period, END from then on
//   rampreset   from START to END in every period
//   squarewave  START in the first half of every period, END in the second
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace llmd::engine {

class FakeGauge {
 public:
  enum class Shape { Constant, Oscillate, Ramp, RampReset, SquareWave };

  FakeGauge() = default;
  explicit FakeGauge(double value) : start_(value), end_(value) {}
  FakeGauge(Shape shape, double start, double end, Duration period)
      : shape_(shape), start_(start), end_(end), period_(period) {}

  double at(Duration since_start) const;
  bool within(double low, double high) const;

 private:
  Shape shape_ = Shape::Constant;
  double start_ = 0;
  double end_ = 0;
  Duration period_ = std::chrono::seconds(1);
};

struct FakeLora {
  std::string running;  // names, separated by commas
  std::string waiting;
  double timestamp = 0;  // seconds since the epoch
};

using BucketCounts = std::vector<int>;  // by bucket; short ones are padded with zeros

// Members are called as in the JSON, where dashes may stand for underscores.
struct FakeMetrics {
  FakeGauge running_requests;
  FakeGauge waiting_requests;
  FakeGauge kv_cache_usage;
  std::vector<FakeLora> loras;
  BucketCounts ttft_buckets_values;
  BucketCounts tpot_buckets_values;
  BucketCounts e2erl_buckets_values;
  BucketCounts queue_time_buckets_values;
  BucketCounts infer_time_buckets_values;
  BucketCounts prefill_time_buckets_values;
  BucketCounts decode_time_buckets_values;
  BucketCounts request_prompt_tokens;
  BucketCounts request_generation_tokens;
  BucketCounts request_params_max_tokens;
  std::map<std::string, int> request_success_total;  // by finished_reason
  std::optional<int> total_prompt_tokens;
  std::optional<int> total_generation_tokens;
  std::optional<int> prefix_cache_hits;  // these two only together
  std::optional<int> prefix_cache_queries;

  std::vector<const BucketCounts*> all_buckets() const;
};

Result<FakeMetrics> parse_fake_metrics(std::string_view text);

}  // namespace llmd::engine
