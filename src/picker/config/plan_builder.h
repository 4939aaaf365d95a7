// Makes the plugins of a configuration, adds what it leaves out, and compiles profiles into flat lists.
// Private to config; the way in is build_plan() (plan.h).
//
//   plan_plugins.cc    plugins from entries, references between them
//   plan_profiles.cc   profiles, their handler and pickers
//   build_plan.cc      the order of it all; policies, sources, producers, roles
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "picker/config/problems.h"
#include "picker/plan.h"

namespace llmd::picker {

class PlanBuilder {
 public:
  PlanBuilder(Configuration configuration, const BuildContext& context)
      : context_(context), plan_(std::make_shared<Plan>()) {
    plan_->configuration = std::move(configuration);
    plan_->load = context.load;
  }

  Result<std::shared_ptr<const Plan>> build();

 private:
  class Setup;
  friend class Setup;
  // Data that a plugin reads and somebody has to produce.
  struct Need {
    std::string kind;
    std::string producer;
    std::string consumer;
    json::Object parameters;
    std::string path;
  };

  Configuration& configuration() { return plan_->configuration; }
  const Configuration& configuration() const { return plan_->configuration; }
  void problem(std::string path, std::string message, std::string hint = {}) {
    problems_.push_back(problem_at(std::move(path), std::move(message), std::move(hint)));
  }

  void apply_flags();
  void make_listed_plugins();
  Plugin* make(const PluginEntry& entry);
  Plugin* make_default(std::string_view type, const json::Object& parameters = {});
  Plugin* made(std::string_view name) const;
  bool experimental_allowed(const PluginType& type, const PluginEntry& entry);
  // The plugin that `path` names, made with its defaults where it is a type that nobody lists; null and a
  // problem when there is none, or when it is no Role.
  Plugin* referenced_plugin(std::string_view name, std::string_view path);
  template <typename Role>
  const Role* referenced(std::string_view name, std::string_view path, std::string_view role) {
    const Plugin* plugin = referenced_plugin(name, path);
    const auto* as_role = dynamic_cast<const Role*>(plugin);
    if (plugin != nullptr && as_role == nullptr) {
      problem(std::string(path), fmt::format("the plugin '{}' is no {}", name, role));
    }
    return as_role;
  }

  void make_policies();
  void make_flow_policies();
  void make_sources();
  SourceEntry usual_source() const;
  void make_source(const SourceEntry& source);
  void make_parsers();
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

}  // namespace llmd::picker
