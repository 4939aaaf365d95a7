#include <algorithm>
#include <set>

#include "picker/config/plan_builder.h"
#include "picker/datalayer/sources.h"
#include "picker/flowcontrol/policies.h"
#include "picker/metrics/plugin_times.h"
#include "picker/plugins/agent_identity.h"
#include "picker/plugins/parsers.h"
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

// Whatever it was called before.
std::string_view current_type(const Plugin& extractor) {
  return extractor.type == "model-server-protocol-metrics"  ? "core-metrics-extractor"
         : extractor.type == "model-server-protocol-models" ? "models-data-extractor"
                                                            : std::string_view(extractor.type);
}

// Plugins that may stand under a data source although nothing is read from an engine's answer for them: they
// are told about endpoints and pods, or another part of the program reads for them.
constexpr std::string_view kListeners[] = {
    "models-data-extractor",         "model-server-protocol-models",     "topology-extractor",
    "precise-prefix-cache-producer", "precise-prefix-cache-scorer",      "inflight-load-producer",
    "mm-embeddings-cache-producer",  "disaggregatedset-rollout-screener"};

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
  make_parsers();
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
  const auto make_policies_of = [this](const BandEntry& band, const std::string& path) {
    referenced<FairnessPolicy>(band.fairness, path + ".fairnessPolicyRef", "fairness policy");
    referenced<OrderingPolicy>(band.ordering, path + ".orderingPolicyRef", "ordering policy");
  };
  for (std::size_t i = 0; i < flow.bands.size(); ++i) {
    make_policies_of(flow.bands[i], fmt::format("flowControl.priorityBands[{}]", i));
  }
  make_policies_of(flow.default_band, "flowControl.defaultPriorityBand");
  if (flow.default_negative_band) {
    make_policies_of(*flow.default_negative_band, "flowControl.defaultNegativePriorityBand");
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
  std::set<std::string_view> followed;
  for (const SourceEntry& source : sources) {
    const Plugin* plugin = made(source.plugin);
    const auto* poll = dynamic_cast<const PollSource*>(plugin);
    scrapes_metrics = scrapes_metrics || source.plugin == "metrics-data-source" ||
                      (poll != nullptr && poll->options.kind == PollSource::Kind::Metrics);
    const auto* notified = dynamic_cast<const NotificationSource*>(plugin);
    if (notified != nullptr && !notified->kind.empty() && !followed.insert(notified->kind).second) {
      problem(source.path + ".pluginRef",
              fmt::format("a duplicate source: another one is notified of {}", notified->kind));
    }
  }
  if (configuration().inject_sources && !scrapes_metrics) {
    sources.push_back(usual_source());
  }
  for (const SourceEntry& source : sources) {
    make_source(source);
  }
  if (!configuration().discovery.empty()) {
    referenced<FileDiscovery>(configuration().discovery, "dataLayer.discovery.pluginRef",
                              "endpoint discovery");
  }
}

// Instances of these types that the document lists, whatever their names, or new ones.
SourceEntry PlanBuilder::usual_source() const {
  SourceEntry usual{"metrics-data-source", {"core-metrics-extractor"}, "dataLayer.sources"};
  for (const PluginEntry& entry : configuration().plugins) {
    usual.plugin = entry.type == "metrics-data-source" ? entry.name : usual.plugin;
    if (entry.type == "core-metrics-extractor" || entry.type == "model-server-protocol-metrics") {
      usual.extractors.front() = entry.name;
    }
  }
  return usual;
}

void PlanBuilder::make_source(const SourceEntry& source) {
  const Plugin* plugin = referenced_plugin(source.plugin, source.path + ".pluginRef");
  Plan::Poll poll{.source = dynamic_cast<const PollSource*>(plugin)};
  if (plugin != nullptr && poll.source == nullptr &&
      dynamic_cast<const NotificationSource*>(plugin) == nullptr) {
    problem(source.path + ".pluginRef", fmt::format("the plugin '{}' is no data source", source.plugin));
  }
  const bool has_numbers = poll.source != nullptr && poll.source->has_numbers();
  std::set<std::string_view> types;
  for (std::size_t i = 0; i < source.extractors.size(); ++i) {
    const std::string path = fmt::format("{}.extractors[{}].pluginRef", source.path, i);
    Plugin* extractor = referenced_plugin(source.extractors[i], path);
    auto* numbers = dynamic_cast<CoreMetricsExtractor*>(extractor);
    if (extractor != nullptr && !types.insert(current_type(*extractor)).second) {
      problem(path, fmt::format("a second extractor of the type '{}' for one source", extractor->type));
    } else if (numbers != nullptr && has_numbers) {
      numbers->serve(poll.source->options.kind);
      poll.extractors.push_back(numbers);
    } else if (extractor != nullptr && numbers == nullptr &&
               std::ranges::find(kListeners, extractor->type) == std::end(kListeners)) {
      problem(path, fmt::format("the plugin '{}' is no extractor", source.extractors[i]));
    } else if (extractor != nullptr && plugin != nullptr && (numbers != nullptr || has_numbers)) {
      problem(path, fmt::format("the plugin '{}' cannot read what the source '{}' has to say",
                                source.extractors[i], source.plugin));
    }
  }
  if (poll.source != nullptr) {
    plan_->polls.push_back(poll);
  }
}

void PlanBuilder::make_parsers() {
  for (std::size_t i = 0; i < configuration().parsers.size(); ++i) {
    const auto* parser = referenced<Parser>(configuration().parsers[i],
                                            fmt::format("requestHandler.parsers[{}].pluginRef", i), "parser");
    if (parser != nullptr) {
      plan_->parsers.push_back(parser);
    }
  }
  if (configuration().parsers.empty()) {
    for (std::unique_ptr<Parser>& parser : usual_parsers()) {
      plan_->parsers.push_back(parser.get());
      plan_->unlisted.push_back(std::move(parser));
    }
  }
}

bool PlanBuilder::provided(const Need& need) const {
  if (need.kind == "metrics") {
    const auto finds_them = [&need](const CoreMetricsExtractor* extractor) {
      return current_type(*extractor) == need.producer;
    };
    return std::ranges::any_of(plan_->polls, [&finds_them](const Plan::Poll& poll) {
      return std::ranges::any_of(poll.extractors, finds_them);
    });
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
