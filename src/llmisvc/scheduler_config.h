// The endpoint picker's configuration (EndpointPickerConfig): the default for the shape of a service, and the
// changes that a configuration written for an older picker needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace llmd::llmisvc {

// Scores by load, cache content and, with adapters, where they are loaded; with a prefill half both halves
// are picked.
json::Object default_scheduler_config(bool has_prefill, bool has_adapters);

// "0.9.0", as annotation app.kubernetes.io/version of the picker's pods says; all zero when absent.
struct SchedulerVersion {
  int major = 0;
  int minor = 0;
  auto operator<=>(const SchedulerVersion&) const = default;
};
Result<SchedulerVersion> scheduler_version(std::string_view text);

// Brings `config` to what a picker of `version` understands. Idempotent. From
//   0.7: plugins of prefill/decode carry new names, thresholds become deciders, block sizes in hashes go,
//   0.8: the plugin that reads engine metrics is called core-metrics-extractor,
//   0.9: prefix-cache-scorer keeps only the name of its producer.
// Independent of the version: parameters of the cache scorers that moved.
void migrate_scheduler_config(json::Object& config, SchedulerVersion version);

// Flags about engine metrics that became configuration in 0.7: takes them out of `arguments` and adds the
// plugin that replaces them to `config`.
void move_metric_flags(std::vector<std::string>& arguments, json::Object& config);

}  // namespace llmd::llmisvc
