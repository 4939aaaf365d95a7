#include <algorithm>

#include "picker/config/plan_builder.h"
#include "picker/datalayer/sources.h"
#include "picker/flowcontrol/policies.h"
#include "picker/metrics/plugin_times.h"
#include "picker/plugins/agent_identity.h"
#include "picker/plugins/token_producer.h"

namespace llmd::picker {
namespace {

// Kinds of data in the order they are produced in: what a kind needs comes before it.
constexpr std::string_view kKinds[] = {"session", "tokens", "prefix", "load", "mm", "latency"};

struct DefaultProducer {
  std::string_view kind;
  std::string_view type;
};
constexpr DefaultProducer kDefaultProducers[] = {
    {"prefix", kApproximateProducer},   {"prefix", kPreciseProducer},
    {"latency", kLatencyProducer},      {"mm", "mm-embeddings-cache-producer"},
    {"load", "inflight-load-producer"}, {"session", "session-id-producer"}};

template <typename Role>
void collect(const std::vector<std::unique_ptr<Plugin>>& plugins, std::vector<const Role*>& into) {
  for (const auto& plugin : plugins) {
    if (const auto* as_role = dynamic_cast<const Role*>(plugin.get())) {
      into.push_back(as_role);
    }
  }
}

}  // namespace

Result<std::shared_ptr<const Plan>> PlanBuilder::build() {
  apply_flags();
  make_listed_plugins();
  make_policies();
  make_sources();
  make_producers();
  compile_profiles();
  collect_roles();
  LLMD_TRY_VOID(settle_problems(problems_, plan_->configuration, context_.load, context_.report));
  if (context_.report != nullptr && !context_.report->errors.empty()) {
    return invalid_argument("{}", context_.report->errors.front());
  }
  plan_->times = std::make_unique<PluginTimes>(*plan_);
  return std::shared_ptr<const Plan>(plan_);
}

void PlanBuilder::make_policies() {
  const std::string& detector = configuration().saturation_detector;
  if (!detector.empty() && detector != "utilization-detector" && made(detector) == nullptr) {
    problem("saturationDetector.pluginRef", fmt::format("the plugin '{}' is not defined", detector));
  } else if (const std::string_view name =
                 detector.empty() ? std::string_view("utilization-detector") : std::string_view(detector);
             find_plugin_type(name) != nullptr || made(name) != nullptr) {
    plan_->detector =
        referenced<SaturationDetector>(name, "saturationDetector.pluginRef", "saturation detector");
  }
  if (configuration().flow_control) {
    plan_->usage_limit = referenced<UsageLimit>(
        configuration().flow.usage_limit, "flowControl.usageLimitPolicyPluginRef", "usage limit policy");
    make_flow_policies();
  }
}

void PlanBuilder::make_flow_policies() {
  const FlowEntry& flow = configuration().flow;
  std::vector<BandEntry> bands = flow.bands;
  bands.push_back(flow.default_band);
  bands.push_back(flow.default_negative_band.value_or(flow.default_band));
  for (const BandEntry& band : bands) {
    referenced<FairnessPolicy>(band.fairness, "flowControl.priorityBands", "fairness policy");
    referenced<OrderingPolicy>(band.ordering, "flowControl.priorityBands", "ordering policy");
  }
  const auto role_is_one_of = [](std::vector<std::string_view> roles, bool none) {
    return [roles = std::move(roles), none](const Endpoint& endpoint) {
      const std::string* role = endpoint.label("llm-d.ai/role");
      return role == nullptr ? none : std::ranges::find(roles, *role) != roles.end();
    };
  };
  auto& predicates = plan_->predicates;
  plan_->stages = Plan::StageMasks{static_cast<unsigned>(predicates.size()),
                                   static_cast<unsigned>(predicates.size() + 1)};
  predicates.push_back(role_is_one_of(
      {"prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"}, false));
  predicates.push_back(role_is_one_of({"decode", "prefill-decode", "both", "encode-prefill-decode"}, true));
}

// What flags say about the metrics of engines holds unless the document says it.
void PlanBuilder::apply_flags() {
  for (const auto& [type, parameters] : {std::pair("metrics-data-source", &context_.load.metrics_source),
                                         {"core-metrics-extractor", &context_.load.metrics_extractor}}) {
    if (parameters->empty()) {
      continue;
    }
    auto& listed = configuration().plugins;
    const auto entry = std::ranges::find(listed, type, &PluginEntry::type);
    if (entry == listed.end()) {
      make_default(type, *parameters);
    } else if (entry->parameters.empty()) {
      entry->parameters = *parameters;
    } else {
      configuration().warnings.push_back(
          fmt::format("flags for engines' metrics have no effect: '{}' has parameters", entry->name));
    }
  }
}

// Listed sources, and the usual one for metrics unless that is switched off or there is one already.
void PlanBuilder::make_sources() {
  std::vector<SourceEntry> sources = configuration().sources;
  bool scrapes_metrics = false;
  for (const SourceEntry& source : sources) {
    const auto* made_source = dynamic_cast<const PollSource*>(made(source.plugin));
    scrapes_metrics = scrapes_metrics || source.plugin == "metrics-data-source" ||
                      (made_source != nullptr && made_source->options.kind == PollSource::Kind::Metrics);
  }
  if (configuration().inject_sources && !scrapes_metrics) {
    sources.push_back({"metrics-data-source", {"core-metrics-extractor"}, "dataLayer.sources"});
  }
  for (const SourceEntry& source : sources) {
    const auto* plugin = referenced<Plugin>(source.plugin, source.path + ".pluginRef", "data source");
    Plan::Poll poll{dynamic_cast<const PollSource*>(plugin), nullptr};
    for (const std::string& name : source.extractors) {
      const auto* extractor = referenced<Plugin>(name, source.path + ".extractors", "extractor");
      if (const auto* core = dynamic_cast<const CoreMetricsExtractor*>(extractor)) {
        poll.extractor = core;
      }
    }
    if (poll.source != nullptr) {
      plan_->polls.push_back(poll);
    }
  }
  if (!configuration().discovery.empty()) {
    referenced<Plugin>(configuration().discovery, "dataLayer.discovery.pluginRef", "discovery");
  }
}

bool PlanBuilder::provided(const Need& need) const {
  if (need.kind == "metrics") {
    return std::ranges::any_of(plan_->polls,
                               [](const Plan::Poll& poll) { return poll.extractor != nullptr; });
  }
  const Plugin* producer = made(need.producer);
  return producer != nullptr && provides_.at(producer).contains(need.kind);
}

void PlanBuilder::make_producers() {
  // New producers may have needs of their own, which are appended.
  for (std::size_t i = 0; i < needs_.size(); ++i) {
    const Need need = needs_[i];
    if (provided(need)) {
      continue;
    }
    const bool has_default = std::ranges::any_of(kDefaultProducers, [&](const DefaultProducer& known) {
      return known.kind == need.kind && known.type == need.producer;
    });
    if (!has_default) {
      problem(need.path, fmt::format("no default producer found for missing data key {}/{}, consumed by {}",
                                     need.kind, need.producer, need.consumer));
    } else {
      make_default(need.producer, need.parameters);
    }
  }
}

void PlanBuilder::collect_roles() {
  collect(plan_->plugins, plan_->screeners);
  collect(plan_->plugins, plan_->producers);
  collect(plan_->plugins, plan_->admitters);
  collect(plan_->plugins, plan_->hooks);
  collect(plan_->plugins, plan_->watchers);
  collect(plan_->plugins, plan_->inspectable);
  collect(plan_->plugins, plan_->measured);
  for (const auto& plugin : plan_->plugins) {
    const auto* identity = dynamic_cast<const AgentIdentity*>(plugin.get());
    plan_->identity = plan_->identity != nullptr ? plan_->identity : identity;
  }
  const auto rank = [this](const Producer* producer) {
    const auto& kinds = provides_[producer];
    std::size_t last = kinds.empty() ? std::size(kKinds) + 1 : 0;  // others may need any kind
    for (std::size_t i = 0; i < std::size(kKinds); ++i) {
      last = kinds.contains(std::string(kKinds[i])) ? i + 1 : last;
    }
    return last;
  };
  std::vector<const Producer*> ordered;
  for (std::size_t wanted = 0; wanted <= std::size(kKinds) + 1; ++wanted) {
    std::ranges::copy_if(plan_->producers, std::back_inserter(ordered),
                         [&](const Producer* producer) { return rank(producer) == wanted; });
  }
  plan_->producers = std::move(ordered);
  for (const Producer* producer : plan_->producers) {
    // What was agreed on is a wish; only what endpoints are known to have is a prediction.
    const bool predicts =
        provides_[producer].contains("prefix") && dynamic_cast<const Holder*>(producer) == nullptr;
    if (predicts && !plan_->prediction) {
      const std::string prefix = fmt::format("prefix/{}/", producer->name);
      plan_->predictor = producer;
      plan_->prediction =
          PrefixColumns{plan_->names.column(prefix + "matched"), plan_->names.column(prefix + "cached"),
                        plan_->names.scalar(prefix + "total"), plan_->names.scalar(prefix + "block_tokens")};
    }
    if (provides_[producer].contains("load")) {
      plan_->uncached_tokens = plan_->names.column(fmt::format("load/{}/uncached", producer->name));
    }
  }
}

Plan::Plan() = default;
Plan::~Plan() = default;

const Plugin* Plan::find(std::string_view name) const {
  for (const auto& plugin : plugins) {
    if (plugin->name == name) {
      return plugin.get();
    }
  }
  return nullptr;
}

Result<std::shared_ptr<const Plan>> build_plan(Configuration configuration, const BuildContext& context) {
  return PlanBuilder(std::move(configuration), context).build();
}

std::shared_ptr<const Plan> least_loaded_plan() {
  static const auto plan = [] {
    constexpr std::string_view kText = R"(plugins:
- type: active-request-scorer
- type: max-score-picker
  parameters: {ties: turn}
)";
    return build_plan(parse_configuration(kText, "least loaded").value(), {}).value();
  }();
  return plan;
}

}  // namespace llmd::picker
    if (const auto* tokens = dynamic_cast<const TokenProducer*>(plugin.get())) {
      plan_->media = tokens->options.media;
    }
    if (const auto* holder = dynamic_cast<const Holder*>(plugin.get())) {
      if (plan_->holder != nullptr) {
        problem("plugins", fmt::format("'{}' and '{}' both hold requests; only one plugin can",
                                       plan_->holder->name, holder->name));
      }
      plan_->holder = holder;
    }
