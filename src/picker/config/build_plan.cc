// Makes the plugins of a configuration, adds what it leaves out, and compiles profiles into flat lists.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "picker/config/problems.h"
#include "picker/datalayer/sources.h"
#include "picker/flowcontrol/policies.h"
#include "picker/metrics/plugin_times.h"
#include "picker/plan.h"

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

struct Need {
  std::string kind;
  std::string producer;
  std::string consumer;
  json::Object parameters;
  std::string path;
};

class PlanBuilder {
 public:
  PlanBuilder(Configuration configuration, const BuildContext& context)
      : context_(context), plan_(std::make_shared<Plan>()) {
    plan_->configuration = std::move(configuration);
    plan_->load = context.load;
  }

  Result<std::shared_ptr<const Plan>> build() {
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

 private:
  class Setup;
  friend class Setup;

  Configuration& configuration() { return plan_->configuration; }
  void problem(std::string path, std::string message, std::string hint = {}) {
    problems_.push_back(problem_at(std::move(path), std::move(message), std::move(hint)));
  }

  void make_listed_plugins();
  Plugin* make(const PluginEntry& entry);
  Plugin* make_default(std::string_view type, const json::Object& parameters = {});
  Plugin* made(std::string_view name) const;
  bool experimental_allowed(const PluginType& type, const PluginEntry& entry);
  template <typename Role>
  const Role* referenced(std::string_view name, std::string_view path, std::string_view role);

  void make_policies();
  void make_flow_policies();
  void make_sources();
  void make_producers();
  bool provided(const Need& need) const;
  void inject_profile();
  void inject_handler();
  void inject_pickers();
  void compile_profiles();
  void compile_profile(const ProfileEntry& entry);
  void collect_roles();

  const BuildContext& context_;
  std::shared_ptr<Plan> plan_;
  std::vector<Problem> problems_;
  std::set<std::string, std::less<>> under_way_;
  std::vector<Need> needs_;
  std::map<const Plugin*, std::set<std::string>> provides_;
};

class PlanBuilder::Setup final : public PluginSetup {
 public:
  Setup(PlanBuilder& builder, const PluginEntry& entry, Parameters& given)
      : PluginSetup(entry.name, entry.type, given), builder_(builder), entry_(entry) {}

  Names& names() override { return builder_.plan_->names; }
  const Clock& clock() const override { return *builder_.context_.clock; }
  unsigned predicate(EndpointPredicate predicate) override {
    auto& all = builder_.plan_->predicates;
    if (all.size() == 62) {  // flow control needs two more
      builder_.problem(entry_.path, "more than 62 label filters");
      return 0;
    }
    all.push_back(std::move(predicate));
    return static_cast<unsigned>(all.size() - 1);
  }
  void reads_header(std::string_view name) override {
    auto& all = builder_.plan_->headers;
    if (std::ranges::find(all, name) == all.end()) {
      all.emplace_back(name);
    }
  }
  bool is_listed(std::string_view plugin) const override {
    const auto& listed = builder_.plan_->configuration.plugins;
    return std::ranges::find(listed, plugin, &PluginEntry::name) != listed.end();
  }
  Plugin* reference(std::string_view path, std::string_view plugin) override {
    if (Plugin* known = builder_.made(plugin)) {
      return known;
    }
    const auto& listed = builder_.configuration().plugins;
    const auto entry = std::ranges::find(listed, plugin, &PluginEntry::name);
    if (entry != listed.end() && !builder_.under_way_.contains(plugin)) {
      return builder_.make(*entry);
    }
    std::vector<std::string_view> all;
    for (const PluginEntry& other : listed) {
      all.push_back(other.name);
    }
    builder_.problem(fmt::format("{}.{}", parameters.path(), path),
                     fmt::format("a plugin has a dependency on the unregistered plugin '{}'", plugin),
                     did_you_mean(plugin, all));
    return nullptr;
  }
  void require(std::string_view kind, std::string_view producer, const json::Object* given) override {
    builder_.needs_.push_back({std::string(kind), std::string(producer), entry_.name,
                               given != nullptr ? *given : json::Object(), entry_.path});
  }
  void provide(std::string_view kind) override { kinds.emplace(kind); }
  std::size_t custom_metric(std::string_view attribute) override {
    auto& all = builder_.plan_->custom_metrics;
    const auto known = std::ranges::find(all, attribute);
    if (known == all.end() && all.size() == kCustomMetrics) {
      builder_.problem(entry_.path, fmt::format("more than {} custom metrics", kCustomMetrics));
      return 0;
    }
    if (known == all.end()) {
      all.emplace_back(attribute);
      return all.size() - 1;
    }
    return static_cast<std::size_t>(known - all.begin());
  }

  std::set<std::string> kinds;

 private:
  PlanBuilder& builder_;
  const PluginEntry& entry_;
};

Plugin* PlanBuilder::made(std::string_view name) const {
  for (const auto& plugin : plan_->plugins) {
    if (plugin->name == name) {
      return plugin.get();
    }
  }
  return nullptr;
}

bool PlanBuilder::experimental_allowed(const PluginType& type, const PluginEntry& entry) {
  if (type.stability == Stability::Alpha && !context_.load.allow_experimental) {
    problem(entry.path,
            fmt::format("plugin '{}' (type: '{}') has Alpha stability level, but command line flag "
                        "--allow-experimental-plugins is not set",
                        entry.name, entry.type));
    return false;
  }
  if (!type.note.empty()) {
    configuration().warnings.push_back(fmt::format("{}: plugin type '{}' is deprecated: {}",
                                                   configuration().place(entry.path), entry.type, type.note));
  }
  return true;
}

Plugin* PlanBuilder::make(const PluginEntry& entry) {
  const PluginType* type = find_plugin_type(entry.type);
  if (type == nullptr) {
    std::vector<std::string_view> all;
    for (const PluginType& known : plugin_types()) {
      all.push_back(known.type);
    }
    problem(entry.path + ".type", fmt::format("unregistered plugin type '{}'", entry.type),
            did_you_mean(entry.type, all));
    return nullptr;
  }
  if (!experimental_allowed(*type, entry)) {
    return nullptr;
  }
  under_way_.insert(entry.name);
  Parameters parameters(&entry.parameters, entry.path + ".parameters");
  Setup setup(*this, entry, parameters);
  auto plugin = type->make(setup);
  under_way_.erase(entry.name);
  for (Problem& found : parameters.problems()) {
    problems_.push_back(std::move(found));
  }
  if (!plugin) {
    problem(parameters.path(), plugin.error().message, plugin.error().advice);
    return nullptr;
  }
  (*plugin)->name = entry.name;
  (*plugin)->type = entry.type;
  provides_[plugin->get()] = std::move(setup.kinds);
  return plan_->plugins.emplace_back(std::move(*plugin)).get();
}

Plugin* PlanBuilder::make_default(std::string_view type, const json::Object& parameters) {
  if (Plugin* known = made(type)) {
    return known;
  }
  const PluginEntry entry{std::string(type), std::string(type), parameters, ""};
  return make(entry);
}

void PlanBuilder::make_listed_plugins() {
  for (const PluginEntry& entry : configuration().plugins) {
    if (made(entry.name) == nullptr) {
      make(entry);
    }
  }
  // Roles and hooks keep the listed order, whoever was made first as a dependency.
  std::ranges::sort(plan_->plugins, {}, [&](const std::unique_ptr<Plugin>& plugin) {
    return std::ranges::find(configuration().plugins, plugin->name, &PluginEntry::name) -
           configuration().plugins.begin();
  });
}

template <typename Role>
const Role* PlanBuilder::referenced(std::string_view name, std::string_view path, std::string_view role) {
  Plugin* plugin = made(name);
  if (plugin == nullptr && find_plugin_type(name) != nullptr &&
      std::ranges::find(configuration().plugins, name, &PluginEntry::name) == configuration().plugins.end()) {
    plugin = make_default(name);
  }
  if (plugin == nullptr) {
    std::vector<std::string_view> all;
    for (const PluginEntry& entry : configuration().plugins) {
      all.push_back(entry.name);
    }
    problem(std::string(path), fmt::format("the plugin '{}' is not defined", name), did_you_mean(name, all));
    return nullptr;
  }
  const auto* as_role = dynamic_cast<const Role*>(plugin);
  if (as_role == nullptr) {
    problem(std::string(path), fmt::format("the plugin '{}' is no {}", name, role));
  }
  return as_role;
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

void PlanBuilder::inject_profile() {
  if (!configuration().profiles.empty()) {
    return;
  }
  ProfileEntry profile{.name = "default", .plugins = {}, .path = "schedulingProfiles"};
  for (const auto& plugin : plan_->plugins) {
    const bool listed = std::ranges::find(configuration().plugins, plugin->name, &PluginEntry::name) !=
                        configuration().plugins.end();
    if (listed &&
        (dynamic_cast<Filter*>(plugin.get()) != nullptr || dynamic_cast<Scorer*>(plugin.get()) != nullptr ||
         dynamic_cast<EndpointPicker*>(plugin.get()) != nullptr)) {
      profile.plugins.push_back({plugin->name, std::nullopt, ""});
    }
  }
  configuration().profiles.push_back(std::move(profile));
}

void PlanBuilder::inject_handler() {
  for (const auto& plugin : plan_->plugins) {
    if (auto* handler = dynamic_cast<ProfileHandler*>(plugin.get())) {
      if (plan_->handler != nullptr) {
        return problem("plugins", "multiple profile handlers found: " + plugin->name);
      }
      plan_->handler = handler;
    }
  }
  if (plan_->handler == nullptr && configuration().profiles.size() == 1) {
    plan_->handler = dynamic_cast<ProfileHandler*>(make_default("single-profile-handler"));
  }
  if (plan_->handler == nullptr) {
    problem("plugins", "no profile handler configured; several scheduling profiles need one");
  }
}

void PlanBuilder::inject_pickers() {
  const EndpointPicker* first = nullptr;
  for (const auto& plugin : plan_->plugins) {
    first = first != nullptr ? first : dynamic_cast<const EndpointPicker*>(plugin.get());
  }
  for (Profile& profile : plan_->profiles) {
    if (profile.picker == nullptr) {
      if (first == nullptr) {
        first = dynamic_cast<const EndpointPicker*>(make_default("max-score-picker"));
      }
      profile.picker = first;
    }
  }
}

void PlanBuilder::compile_profile(const ProfileEntry& entry) {
  Profile& profile = plan_->profiles.emplace_back();
  profile.name = entry.name;
  for (const ProfileEntry::Use& use : entry.plugins) {
    const auto* plugin = referenced<Plugin>(use.plugin, use.path + ".pluginRef", "plugin");
    if (const auto* filter = dynamic_cast<const Filter*>(plugin)) {
      profile.filters.push_back(filter);
    }
    if (const auto* scorer = dynamic_cast<const Scorer*>(plugin)) {
      profile.scorers.push_back({scorer, use.weight.value_or(1.0)});
    }
    if (const auto* picker = dynamic_cast<const EndpointPicker*>(plugin)) {
      if (profile.picker != nullptr) {
        problem(use.path, fmt::format("profile '{}' has a second picker", profile.name));
      }
      profile.picker = picker;
    }
  }
}

void PlanBuilder::compile_profiles() {
  inject_profile();
  inject_handler();
  std::vector<std::string> names;
  for (const ProfileEntry& entry : configuration().profiles) {
    compile_profile(entry);
    names.push_back(entry.name);
  }
  inject_pickers();
  if (plan_->handler != nullptr) {
    if (auto bound = const_cast<ProfileHandler*>(plan_->handler)->bind(names); !bound) {
      problem("schedulingProfiles", bound.error().message, bound.error().advice);
    }
  }
  make_producers();  // plugins made meanwhile may need more
}

template <typename Role>
void collect(const std::vector<std::unique_ptr<Plugin>>& plugins, std::vector<const Role*>& into) {
  for (const auto& plugin : plugins) {
    if (const auto* as_role = dynamic_cast<const Role*>(plugin.get())) {
      into.push_back(as_role);
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
    if (provides_[producer].contains("prefix") && !plan_->prediction) {
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

}  // namespace

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
