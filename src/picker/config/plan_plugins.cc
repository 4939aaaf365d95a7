#include <algorithm>

#include "base/strings.h"
#include "picker/config/plan_builder.h"

namespace llmd::picker {

class PlanBuilder::Setup final : public PluginSetup {
 public:
  Setup(PlanBuilder& builder, const PluginEntry& entry, Parameters& given)
      : PluginSetup(entry.name, entry.type, given), builder_(builder), entry_(entry) {}

  Names& names() override { return builder_.plan_->names; }
  const Clock& clock() const override { return *builder_.context_.clock; }
  const trace::Tracer* tracer() const override { return builder_.context_.tracer; }
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
  std::vector<std::string> listed_of(std::string_view type) const override {
    std::vector<std::string> names;
    for (const PluginEntry& entry : builder_.plan_->configuration.plugins) {
      if (entry.type == type) {
        names.push_back(entry.name);
      }
    }
    return names;
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
    const std::string place = fmt::format("{}.{}", parameters.path(), path);
    if (entry != listed.end()) {
      builder_.problem(place,
                       fmt::format("the plugins '{}' and '{}' depend on each other", entry_.name, plugin));
      return nullptr;
    }
    std::vector<std::string_view> all;
    for (const PluginEntry& other : listed) {
      all.push_back(other.name);
    }
    builder_.problem(place, fmt::format("a plugin has a dependency on the unregistered plugin '{}'", plugin),
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
    if (known == all.end() && all.size() == kMostCustomMetrics) {
      builder_.problem(entry_.path,
                       fmt::format("'{}': a picker has at most {} custom metrics; this is one more",
                                   attribute, kMostCustomMetrics));
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

Plugin* PlanBuilder::referenced_plugin(std::string_view name, std::string_view path) {
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
  }
  return plugin;
}

}  // namespace llmd::picker
