#include "engine/server/fake_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/strings.h"
#include "json/codec.h"

namespace llmd::engine {
namespace {

constexpr int kMostPerBucket = 10'000'000;
constexpr std::array<std::string_view, 4> kReasons{"stop", "length", "abort", "error"};

std::optional<FakeGauge::Shape> shape_of(std::string_view name) {
  using Shape = FakeGauge::Shape;
  if (name == "oscillate") {
    return Shape::Oscillate;
  }
  if (name == "ramp") {
    return Shape::Ramp;
  }
  if (name == "rampreset") {
    return Shape::RampReset;
  }
  return name == "squarewave" ? std::optional(Shape::SquareWave) : std::nullopt;
}

// oscillate:0:10:30s
std::optional<FakeGauge> parse_function(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 4) {
    return std::nullopt;
  }
  const auto shape = shape_of(parts[0]);
  const auto start = parse_number(parts[1]);
  const auto end = parse_number(parts[2]);
  const Result<Duration> period = parse_duration(parts[3]);
  if (!shape || !start || !end || !period || *period <= Duration::zero()) {
    return std::nullopt;
  }
  return FakeGauge(*shape, *start, *end, *period);
}

Result<FakeGauge> read_gauge(const json::Value& value) {
  if (value.is_number()) {
    return FakeGauge(value.to_number<double>());
  }
  const auto function = value.is_string() ? parse_function(value.get_string()) : std::nullopt;
  if (!function) {
    return invalid_argument(
        "expected a number, or FUNCTION:START:END:PERIOD with oscillate, ramp, rampreset or squarewave");
  }
  return *function;
}

struct Gauge {
  std::string_view name;
  FakeGauge FakeMetrics::* member;
  double most;
};
constexpr Gauge kGauges[] = {{"running_requests", &FakeMetrics::running_requests, 1e9},
                             {"waiting_requests", &FakeMetrics::waiting_requests, 1e9},
                             {"kv_cache_usage", &FakeMetrics::kv_cache_usage, 1}};

// Takes them out of `members`, which has more shapes than the codec describes.
Result<void> take_gauges(json::Object& members, FakeMetrics& fake) {
  for (const Gauge& gauge : kGauges) {
    const json::Value* const value = members.if_contains(gauge.name);
    if (value == nullptr) {
      continue;
    }
    auto read = read_gauge(*value);
    if (read && !read->within(0, gauge.most)) {
      read = invalid_argument("must lie between 0 and {}", gauge.most);
    }
    if (!read) {
      return std::unexpected(std::move(read).error().within(std::string(gauge.name)));
    }
    fake.*gauge.member = *read;
    members.erase(gauge.name);
  }
  return {};
}

}  // namespace

BOOST_DESCRIBE_STRUCT(FakeLora, (), (running, waiting, timestamp))
BOOST_DESCRIBE_STRUCT(FakeMetrics, (),
                      (loras, ttft_buckets_values, tpot_buckets_values, e2erl_buckets_values,
                       queue_time_buckets_values, infer_time_buckets_values, prefill_time_buckets_values,
                       decode_time_buckets_values, request_prompt_tokens, request_generation_tokens,
                       request_params_max_tokens, request_success_total, total_prompt_tokens,
                       total_generation_tokens, prefix_cache_hits, prefix_cache_queries))

void validate(const FakeLora& lora, json::Report& report) {
  if (lora.timestamp < 0) {
    report.add("timestamp", "must not be negative");
  }
}

void validate(const FakeMetrics& fake, json::Report& report) {
  for (const BucketCounts* counts : fake.all_buckets()) {
    if (std::ranges::any_of(*counts, [](int count) { return count < 0 || count > kMostPerBucket; })) {
      report.add("", "counts of buckets must lie between 0 and {}", kMostPerBucket);
    }
  }
  for (const auto& [reason, count] : fake.request_success_total) {
    if (std::ranges::find(kReasons, reason) == kReasons.end() || count < 0) {
      report.add("request_success_total", "expected counts of stop, length, abort or error, got '{}': {}",
                 reason, count);
    }
  }
  if (fake.prefix_cache_hits.has_value() != fake.prefix_cache_queries.has_value()) {
    report.add("", "prefix-cache-hits and prefix-cache-queries belong together");
  }
  for (const auto& total : {fake.total_prompt_tokens, fake.total_generation_tokens, fake.prefix_cache_hits,
                            fake.prefix_cache_queries}) {
    if (total.value_or(0) < 0) {
      report.add("", "totals must not be negative");
    }
  }
}

double FakeGauge::at(Duration since_start) const {
  const double periods = std::chrono::duration<double>(since_start) / std::chrono::duration<double>(period_);
  const double phase = periods - std::floor(periods);
  const auto between = [this](double part) { return start_ + (end_ - start_) * part; };
  switch (shape_) {
    case Shape::Constant:
      return start_;
    case Shape::Oscillate:
      return between((1 - std::cos(2 * std::numbers::pi * phase)) / 2);
    case Shape::Ramp:
      return between(std::min(1.0, periods));
    case Shape::RampReset:
      return between(phase);
    case Shape::SquareWave:
      return phase < 0.5 ? start_ : end_;
  }
  return start_;
}

bool FakeGauge::within(double low, double high) const {
  return std::min(start_, end_) >= low && std::max(start_, end_) <= high;
}

std::vector<const BucketCounts*> FakeMetrics::all_buckets() const {
  return {&ttft_buckets_values,        &tpot_buckets_values,       &e2erl_buckets_values,
          &queue_time_buckets_values,  &infer_time_buckets_values, &prefill_time_buckets_values,
          &decode_time_buckets_values, &request_prompt_tokens,     &request_generation_tokens,
          &request_params_max_tokens};
}

Result<FakeMetrics> parse_fake_metrics(std::string_view text) {
  LLMD_TRY(const json::Value value, json::parse(text));
  const json::Object* const object = value.if_object();
  if (object == nullptr) {
    return invalid_argument("expected a JSON object");
  }
  json::Object members;  // by the members' names
  for (const auto& member : *object) {
    std::string name(member.key());
    std::ranges::replace(name, '-', '_');
    members[name] = member.value();
  }
  FakeMetrics gauges;
  LLMD_TRY_VOID(take_gauges(members, gauges));
  LLMD_TRY(FakeMetrics fake, json::decode<FakeMetrics>(json::Value(std::move(members))));
  for (const Gauge& gauge : kGauges) {
    fake.*gauge.member = gauges.*gauge.member;
  }
  return fake;
}

}  // namespace llmd::engine
