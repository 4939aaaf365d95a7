#include "picker/metrics/decision_metrics.h"

#include <unordered_map>

#include "picker/metrics/buckets.h"
#include "picker/metrics/tally.h"

namespace llmd::picker {
namespace {

constexpr std::size_t kMostSeries = 1000;
constexpr std::string_view kOther = "other";
constexpr std::size_t kOtherKey = 1;

std::size_t mix(std::size_t hash, std::string_view more) {
  return (hash ^ std::hash<std::string_view>()(more)) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
}

// The key of a series in its map, or that of the rest.
template <typename Map>
std::size_t bounded(const Map& map, std::size_t key) {
  return map.size() < kMostSeries || map.contains(key) ? key : kOtherKey;
}

void write_histogram(Page& page, std::string_view name, std::string_view help, LabelText labels,
                     const Distribution& numbers) {
  metrics::Histogram::Snapshot snapshot;
  numbers.add_to(snapshot);
  page.histogram(name, help, std::move(labels), numbers.bounds(), std::move(snapshot));
}

}  // namespace

struct DecisionMetrics::Attempts {
  std::string status;
  std::string model;
  std::string endpoint;
  std::string space;
  std::string port;
  Tally<std::uint64_t> count;
};

struct DecisionMetrics::Stage {
  std::string model;
  std::string type;
  std::string handler_name;
  std::string handler_type;
  Tally<std::uint64_t> count;
};

struct DecisionMetrics::Hits {
  std::string name;
  std::string type;
  Distribution ratio{buckets::kRatios};
  Distribution bytes{buckets::kHitBytes};
};

struct DecisionMetrics::Shard {
  Distribution seconds{buckets::kDecisionSeconds};
  std::unordered_map<std::size_t, std::unique_ptr<Attempts>> attempts;
  std::unordered_map<std::size_t, std::unique_ptr<Stage>> stages;
  std::unordered_map<std::size_t, std::unique_ptr<Hits>> hits;
};

DecisionMetrics::DecisionMetrics() = default;
DecisionMetrics::~DecisionMetrics() = default;

DecisionMetrics::Attempts& DecisionMetrics::attempts(Shard& own, const EndpointState* endpoint,
                                                     std::string_view model) {
  const std::string_view full_name = endpoint != nullptr ? std::string_view(endpoint->full_name) : "";
  const std::size_t key = bounded(own.attempts, mix(mix(7, model), full_name));
  if (const auto known = own.attempts.find(key); known != own.attempts.end()) {
    return *known->second;
  }
  auto made = std::make_unique<Attempts>();
  made->status = endpoint != nullptr ? "success" : "failure";
  if (key == kOtherKey) {
    made->status = made->model = made->endpoint = made->space = made->port = kOther;
  } else {
    made->model = model;
    if (endpoint != nullptr) {
      made->endpoint = endpoint->endpoint.name;
      made->space = endpoint->endpoint.namespace_;
      made->port = std::to_string(endpoint->endpoint.address.port);
    }
  }
  const std::lock_guard lock(mutex_);
  return *own.attempts.emplace(key, std::move(made)).first->second;
}

DecisionMetrics::Stage& DecisionMetrics::stages_of(Shard& own, std::string_view model, std::string_view type,
                                                   const Plugin& handler) {
  const std::size_t key = bounded(own.stages, mix(mix(mix(7, model), type), handler.name));
  if (const auto known = own.stages.find(key); known != own.stages.end()) {
    return *known->second;
  }
  auto made = std::make_unique<Stage>();
  made->model = key == kOtherKey ? kOther : model.empty() ? "unknown" : model;
  made->type = type;
  made->handler_name = handler.name;
  made->handler_type = handler.type;
  const std::lock_guard lock(mutex_);
  return *own.stages.emplace(key, std::move(made)).first->second;
}

DecisionMetrics::Hits& DecisionMetrics::hits(Shard& own, const Plugin& predictor) {
  const std::size_t key = mix(mix(7, predictor.name), predictor.type);
  if (const auto known = own.hits.find(key); known != own.hits.end()) {
    return *known->second;
  }
  auto made = std::make_unique<Hits>();
  made->name = predictor.name;
  made->type = predictor.type;
  const std::lock_guard lock(mutex_);
  return *own.hits.emplace(key, std::move(made)).first->second;
}

void DecisionMetrics::decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took) {
  Shard& own = shards_.mine();
  own.seconds.observe(std::chrono::duration<double>(took).count());
  const Row chosen = stages.primary.front();
  const std::string_view model = cycle.request().target();
  if (plan.prediction && cycle.scalar(plan.prediction->total) > 0) {
    constexpr double kBytesPerToken = 4;
    const double matched = cycle.at(plan.prediction->cached, chosen);
    Hits& current = hits(own, *plan.predictor);
    current.ratio.observe(matched / cycle.scalar(plan.prediction->total));
    current.bytes.observe(matched * cycle.scalar(plan.prediction->block_tokens) * kBytesPerToken);
  }
  attempts(own, &cycle.endpoint(chosen), model).count.add(1);
  if (plan.handler != nullptr && plan.handler->is_disaggregating()) {
    stages_of(own, model, stages.kind(), *plan.handler).count.add(1);
  }
}

void DecisionMetrics::rejected(const Cycle& cycle, Duration took) {
  Shard& own = shards_.mine();
  own.seconds.observe(std::chrono::duration<double>(took).count());
  attempts(own, nullptr, cycle.request().target()).count.add(1);
}

void DecisionMetrics::write(Page& page) const {
  constexpr std::string_view kSecondsHelp = "Time a scheduling decision takes.";
  constexpr std::string_view kRatioHelp = "Share of the prompt that the chosen endpoint has cached.";
  constexpr std::string_view kBytesHelp = "Bytes of the prompt that the chosen endpoint has cached.";
  constexpr std::string_view kAttemptsHelp = "Decisions by result and endpoint.";
  constexpr std::string_view kStagesHelp = "Decisions by the stages that were chosen.";
  const Distribution no_seconds{buckets::kDecisionSeconds};
  const Hits no_hits;
  for (const std::string_view prefix : {"llm_d_epp_", "inference_extension_"}) {
    write_histogram(page, std::string(prefix) + "scheduler_e2e_duration_seconds", kSecondsHelp, {},
                    no_seconds);
    page.announce(std::string(prefix) + "scheduler_attempts_total", kAttemptsHelp, metrics::Type::Counter);
  }
  write_histogram(page, "inference_extension_prefix_indexer_hit_ratio", kRatioHelp, {}, no_hits.ratio);
  write_histogram(page, "inference_extension_prefix_indexer_hit_bytes", kBytesHelp, {}, no_hits.bytes);
  const std::lock_guard lock(mutex_);
  shards_.each([&](const Shard& own) {
    for (const std::string_view prefix : {"llm_d_epp_", "inference_extension_"}) {
      write_histogram(page, std::string(prefix) + "scheduler_e2e_duration_seconds", kSecondsHelp, {},
                      own.seconds);
    }
    for (const auto& [key, hits] : own.hits) {
      const LabelText of_predictor{{"plugin_name", hits->name}, {"plugin_type", hits->type}};
      write_histogram(page, "llm_d_epp_prefix_indexer_hit_ratio", kRatioHelp, of_predictor, hits->ratio);
      write_histogram(page, "llm_d_epp_prefix_indexer_hit_bytes", kBytesHelp, of_predictor, hits->bytes);
      write_histogram(page, "inference_extension_prefix_indexer_hit_ratio", kRatioHelp, {}, hits->ratio);
      write_histogram(page, "inference_extension_prefix_indexer_hit_bytes", kBytesHelp, {}, hits->bytes);
    }
    for (const auto& [key, each] : own.attempts) {
      const auto count = static_cast<double>(each->count.value());
      for (const auto& [prefix, label] :
           {std::pair("llm_d_epp_", "endpoint_name"), {"inference_extension_", "pod_name"}}) {
        page.counter(std::string(prefix) + "scheduler_attempts_total", kAttemptsHelp,
                     {{"status", each->status},
                      {"target_model_name", each->model},
                      {label, each->endpoint},
                      {"namespace", each->space},
                      {"port", each->port}},
                     count);
      }
    }
    for (const auto& [key, each] : own.stages) {
      const auto count = static_cast<double>(each->count.value());
      // The same under the name of the time before encoders.
      const std::string_view name =
          each->handler_type == "pd-profile-handler" ? "pd_decision_total" : "disagg_decision_total";
      page.counter("llm_d_epp_" + std::string(name), kStagesHelp,
                   {{"model_name", each->model},
                    {"decision_type", each->type},
                    {"plugin_name", each->handler_name},
                    {"plugin_type", each->handler_type}},
                   count);
      page.counter("llm_d_inference_scheduler_" + std::string(name), kStagesHelp,
                   {{"model_name", each->model}, {"decision_type", each->type}}, count);
    }
  });
}

}  // namespace llmd::picker
