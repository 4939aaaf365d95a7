#include "gateway/request_metrics.h"

#include <array>
#include <map>
#include <mutex>

namespace llmd::gateway {
namespace {

using metrics::Counter;
using metrics::Family;
using metrics::Gauge;
using metrics::Histogram;
using metrics::Registry;

using Labels = std::vector<std::string>;
using Bounds = std::span<const double>;

// Upstream's buckets, to the last number: dashboards with fixed bounds find them.
constexpr double kSeconds[] = {.005, .025, .05, .1,  .2,  .4,  .6,  .8,   1,    1.25, 1.5, 2,
                               3,    4,    5,   6,   8,   10,  15,  20,   30,   45,   60,  120,
                               180,  240,  300, 360, 480, 600, 900, 1200, 1800, 2700, 3600};
constexpr double kTokenSeconds[] = {.0005, .00205, .005, .01, .02, .04, .06, .08, .1,  .125, .15, .2,
                                    .3,    .4,     .5,   .6,  .8,  1,   1.5, 2,   3,   4.5,  6,   12,
                                    18,    24,     30,   36,  48,  60,  90,  120, 180, 270,  360};
constexpr double kNormalised[] = {.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10};

std::vector<double> sizes() {
  return metrics::exponential_bounds(64, 2, 25);
}
std::vector<double> tokens(int count) {
  auto bounds = metrics::exponential_bounds(8, 2, count);
  bounds.insert(bounds.begin(), 1);
  return bounds;
}

// The series both generations have. `Names` differ, numbers do not.
struct Names {
  std::string_view duration, first_token, per_token, normalised, request_size, response_size, input, output,
      cached, total, errors, running;
};

constexpr Names kEpp{"llm_d_epp_request_duration_seconds",
                     "llm_d_epp_request_ttft_seconds",
                     "llm_d_epp_request_streaming_tpot_seconds",
                     "llm_d_epp_request_ntpot_seconds",
                     "llm_d_epp_request_size_bytes",
                     "llm_d_epp_response_size_bytes",
                     "llm_d_epp_request_input_tokens",
                     "llm_d_epp_request_output_tokens",
                     "llm_d_epp_request_cached_tokens",
                     "llm_d_epp_request_total",
                     "llm_d_epp_request_error_total",
                     "llm_d_epp_request_running"};
constexpr Names kObjective{"inference_objective_request_duration_seconds",
                           "inference_objective_request_ttft_seconds",
                           "inference_objective_request_tpot_seconds",
                           "inference_objective_normalized_time_per_output_token_seconds",
                           "inference_objective_request_sizes",
                           "inference_objective_response_sizes",
                           "inference_objective_input_tokens",
                           "inference_objective_output_tokens",
                           "inference_objective_prompt_cached_tokens",
                           "inference_objective_request_total",
                           "inference_objective_request_error_total",
                           "inference_objective_running_requests"};

Family<Histogram>& histograms(Registry& registry, std::string_view name, std::string help, Bounds bounds) {
  return registry.histograms(std::string(name), std::move(help), Labels{"model_name", "target_model_name"},
                             bounds);
}

struct Generation {
  Generation(Registry& registry, const Names& names)
      : total(registry.counters(std::string(names.total), "Requests by model.",
                                Labels{"model_name", "target_model_name", "priority"})),
        errors(registry.counters(std::string(names.errors), "Requests that ended with an error, by status.",
                                 Labels{"model_name", "target_model_name", "error_code"})),
        running(registry.gauges(std::string(names.running), "Requests that have not ended.",
                                Labels{"model_name"})),
        duration(
            histograms(registry, names.duration, "From the request to the end of its answer.", kSeconds)),
        first_token(histograms(registry, names.first_token,
                               "From the request to the first byte of its answer.", kSeconds)),
        per_token(histograms(registry, names.per_token, "Between two tokens of a stream, on average.",
                             kTokenSeconds)),
        normalised(histograms(registry, names.normalised, "Duration divided by the number of output tokens.",
                              kNormalised)),
        request_size(histograms(registry, names.request_size, "Bytes of the request's body.", sizes())),
        response_size(histograms(registry, names.response_size, "Bytes of the answer's body.", sizes())),
        input(histograms(registry, names.input, "Tokens of the prompt.", tokens(18))),
        output(histograms(registry, names.output, "Tokens of the answer.", tokens(11))),
        cached(histograms(registry, names.cached, "Tokens of the prompt that the engine had cached.",
                          tokens(18))) {}

  Family<Counter>& total;
  Family<Counter>& errors;
  Family<Gauge>& running;
  Family<Histogram>& duration;
  Family<Histogram>& first_token;
  Family<Histogram>& per_token;
  Family<Histogram>& normalised;
  Family<Histogram>& request_size;
  Family<Histogram>& response_size;
  Family<Histogram>& input;
  Family<Histogram>& output;
  Family<Histogram>& cached;
};

// The series of one model, looked up once.
struct Series {
  Series(const Generation& generation, std::string_view model_name, std::string_view target_name)
      : model(model_name), target(target_name), families(generation) {
    const auto of = [this](Family<Histogram>& family) { return family.with({model, target}); };
    duration = of(families.duration);
    first_token = of(families.first_token);
    per_token = of(families.per_token);
    normalised = of(families.normalised);
    request_size = of(families.request_size);
    response_size = of(families.response_size);
    input = of(families.input);
    output = of(families.output);
    cached = of(families.cached);
    total = families.total.with({model, target, "0"});
  }

  void observe(const ObservedRequest& request) const {
    total->add();
    const double seconds = std::chrono::duration<double>(request.duration).count();
    const double first = std::chrono::duration<double>(request.first_byte).count();
    duration->observe(seconds);
    request_size->observe(static_cast<double>(request.request_bytes));
    response_size->observe(static_cast<double>(request.response_bytes));
    if (request.status >= 400) {
      families.errors.with({model, target, std::to_string(request.status)})->add();
      return;
    }
    if (request.first_byte > Duration::zero()) {
      first_token->observe(first);
    }
    if (request.usage.prompt_tokens) {
      input->observe(static_cast<double>(*request.usage.prompt_tokens));
    }
    if (request.usage.cached_tokens) {
      cached->observe(static_cast<double>(*request.usage.cached_tokens));
    }
    const auto counted = static_cast<double>(request.usage.completion_tokens.value_or(0));
    if (counted > 0) {
      output->observe(counted);
      normalised->observe(seconds / counted);
      if (request.stream && counted > 1) {
        per_token->observe((seconds - first) / (counted - 1));
      }
    }
  }

  const std::string model;
  const std::string target;
  const Generation& families;
  std::shared_ptr<Histogram> duration, first_token, per_token, normalised, request_size, response_size, input,
      output, cached;
  std::shared_ptr<Counter> total;
};

}  // namespace

struct RequestMetrics::Families {
  explicit Families(Registry& registry)
      : epp(registry, kEpp),
        objective(registry, kObjective),
        refusals(registry.counters("llmd_gateway_refused_requests_total",
                                   "Requests refused before they went to an engine.", {"reason"})),
        key_tokens(registry.counters("llmd_gateway_key_tokens_total",
                                     "Tokens that engines counted, by API key.", {"key"})),
        disagreements(registry.counter("llmd_gateway_owner_disagreements_total",
                                       "Requests whose body, headers and query named different owners.")),
        waits(registry.counter("llmd_gateway_model_waits_total",
                               "Requests that waited for a model that was starting.")) {}
  // Of both generations. Kept for as long as the process: families have at most as many series.
  struct ModelSeries {
    Series epp;
    Series objective;
  };
  const ModelSeries& series_of(std::string_view model, std::string_view target) {
    constexpr std::size_t kMost = 1000;
    const std::lock_guard lock(mutex);
    const auto known = by_model.find(model);
    if (known != by_model.end()) {
      const auto found = known->second.find(target);
      if (found != known->second.end()) {
        return found->second;
      }
    }
    const bool full = ++series_made > kMost;
    const std::string name(full ? "other" : model);
    const std::string target_name(full ? "other" : target);
    auto& by_target = by_model[name];
    return by_target
        .try_emplace(target_name, ModelSeries{{epp, name, target_name}, {objective, name, target_name}})
        .first->second;
  }
  void add_running(std::string_view model, double amount) {
    const std::lock_guard lock(mutex);
    auto found = running.find(model);
    if (found == running.end()) {
      found = running
                  .try_emplace(std::string(model),
                               std::pair(epp.running.with({model}), objective.running.with({model})))
                  .first;
    }
    found->second.first->add(amount);
    found->second.second->add(amount);
  }

  Generation epp;
  Generation objective;
  std::mutex mutex;
  std::map<std::string, std::map<std::string, ModelSeries, std::less<>>, std::less<>> by_model;
  std::size_t series_made = 0;
  std::map<std::string, std::pair<std::shared_ptr<Gauge>, std::shared_ptr<Gauge>>, std::less<>> running;
  Family<Counter>& refusals;
  Family<Counter>& key_tokens;
  Counter& disagreements;
  Counter& waits;
};

RequestMetrics::RequestMetrics() : families_(std::make_unique<Families>(registry_)) {
  // A counter that appears with its first error makes rate() miss that error.
  for (const char* reason :
       {"unauthenticated", "rate_limited", "model_not_allowed", "unknown_model", "bad_request"}) {
    families_->refusals.with({reason});
  }
}

RequestMetrics::~RequestMetrics() = default;

void RequestMetrics::begun(std::string_view model) {
  families_->add_running(model, 1);
}

void RequestMetrics::ended(std::string_view model) {
  families_->add_running(model, -1);
}

void RequestMetrics::observe(const ObservedRequest& request) {
  const auto& series = families_->series_of(request.model, request.target_model);
  series.epp.observe(request);
  series.objective.observe(request);
  const auto spent = request.usage.prompt_tokens.value_or(0) + request.usage.completion_tokens.value_or(0);
  if (!request.key.empty() && spent > 0) {
    families_->key_tokens.with({request.key})->add(static_cast<double>(spent));
  }
}

void RequestMetrics::refused(std::string_view reason) {
  families_->refusals.with({reason})->add();
}

void RequestMetrics::owners_disagreed() {
  families_->disagreements.add();
}

void RequestMetrics::waited_for_model() {
  families_->waits.add();
}

}  // namespace llmd::gateway
