#include <algorithm>

#include "picker/config/plan_builder.h"

namespace llmd::picker {

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

}  // namespace llmd::picker
