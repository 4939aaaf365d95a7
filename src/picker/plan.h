// Plan: a configuration compiled once: plugins by role and profiles as flat lists. Immutable and shared by
// everything that still needs its hooks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "openai/media_items.h"
#include "picker/config.h"
#include "picker/framework.h"
#include "picker/registry.h"

namespace llmd::trace {
class Tracer;
}

namespace llmd::picker {

class AgentIdentity;
class CoreMetricsExtractor;
class Parser;
class PluginTimes;
class PollSource;

struct WeightedScorer {
  const Scorer* scorer = nullptr;
  double weight = 1;
};

struct Profile {
  std::string name;
  std::vector<const Filter*> filters;
  std::vector<WeightedScorer> scorers;
  const EndpointPicker* picker = nullptr;
};

struct Plan {
  Plan();
  ~Plan();

  Configuration configuration;
  LoadOptions load;
  Names names;
  std::vector<EndpointPredicate> predicates;
  std::vector<std::string> headers;         // that plugins decide by, lower case
  std::vector<std::string> custom_metrics;  // by slot
  std::vector<std::unique_ptr<Plugin>> plugins;

  std::vector<Profile> profiles;
  const ProfileHandler* handler = nullptr;
  std::vector<const Screener*> screeners;
  std::vector<const Producer*> producers;  // in the order of their dependencies
  std::vector<const Admitter*> admitters;
  std::vector<const RequestHook*> hooks;
  std::vector<const EndpointWatcher*> watchers;
  std::vector<const Inspectable*> inspectable;
  std::vector<const Measured*> measured;
  const SaturationDetector* detector = nullptr;
  const UsageLimit* usage_limit = nullptr;
  std::vector<const Parser*> parsers;             // in the order of the configuration; never empty
  std::vector<std::unique_ptr<Plugin>> unlisted;  // of these, where the configuration lists none
  const AgentIdentity* identity = nullptr;        // names flows that no header names; null: nobody does
  const Holder* holder = nullptr;                 // null: requests are decided one by one
  openai::MediaEstimate media;                    // what images, videos and sounds cost
  std::optional<Column> uncached_tokens;          // what a lease counts; absent: the whole prompt
  // The stages whose fullness is looked at one by one, as predicates (flow control only).
  struct StageMasks {
    unsigned prefill = 0;
    unsigned decode = 0;
  };
  std::optional<StageMasks> stages;
  std::optional<PrefixColumns> prediction;  // what usage is compared with
  const Plugin* predictor = nullptr;        // that made it
  std::unique_ptr<PluginTimes> times;       // of the plugins above

  // What scrapers ask endpoints for.
  struct Poll {
    const PollSource* source = nullptr;
    std::vector<const CoreMetricsExtractor*> extractors = {};
  };
  std::vector<Poll> polls;

  const Plugin* find(std::string_view name) const;
  template <typename Role>
  const Role* find_as(std::string_view name) const {
    return dynamic_cast<const Role*>(find(name));
  }
};

struct BuildContext {
  LoadOptions load;
  const Clock* clock = &system_clock();
  CheckReport* report = nullptr;  // collects every problem instead of stopping at the first
  const trace::Tracer* tracer = nullptr;
};

Result<std::shared_ptr<const Plan>> build_plan(Configuration configuration, const BuildContext& context);
// Fewest requests, ties in turn.
std::shared_ptr<const Plan> least_loaded_plan();

}  // namespace llmd::picker
