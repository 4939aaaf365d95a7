#include "llmisvc/scheduler_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/pod_edit.h"

namespace llmd::llmisvc {
namespace {

json::Object plugin(std::string_view type) {
  return {{"type", text_value(type)}};
}
json::Object use(std::string_view name) {
  return {{"pluginRef", text_value(name)}};
}
json::Object use(std::string_view name, int weight) {
  return {{"pluginRef", text_value(name)}, {"weight", weight}};
}

json::Array plugins_of(const std::vector<std::string_view>& types) {
  json::Array list;
  for (const std::string_view type : types) {
    list.emplace_back(plugin(type));
  }
  return list;
}

json::Object config_head() {
  return {{"apiVersion", "inference.networking.x-k8s.io/v1alpha1"}, {"kind", "EndpointPickerConfig"}};
}

json::Object single_profile(bool lora) {
  json::Object config = config_head();
  std::vector<std::string_view> types{"single-profile-handler"};
  json::Array uses;
  types.insert(types.end(), {"queue-scorer", "kv-cache-utilization-scorer", "prefix-cache-scorer",
                             "no-hit-lru-scorer", "max-score-picker"});
  if (lora) {
    types.emplace_back("lora-affinity-scorer");
    uses.emplace_back(use("lora-affinity-scorer", 4));
  }
  for (const auto& [name, weight] :
       {std::pair{"queue-scorer", 2}, std::pair{"kv-cache-utilization-scorer", 2},
        std::pair{"prefix-cache-scorer", 3}, std::pair{"no-hit-lru-scorer", 2}}) {
    uses.emplace_back(use(name, weight));
  }
  uses.emplace_back(use("max-score-picker"));
  config["plugins"] = plugins_of(types);
  config["schedulingProfiles"] = json::Array{json::Object{{"name", "default"}, {"plugins", std::move(uses)}}};
  return config;
}

json::Object split_profiles(bool lora) {
  json::Object config = config_head();
  std::vector<std::string_view> types{"disagg-headers-handler", "prefill-filter", "decode-filter"};
  json::Array prefill{use("prefill-filter")};
  json::Array decode{use("decode-filter")};
  if (lora) {
    types.emplace_back("lora-affinity-scorer");
    prefill.emplace_back(use("lora-affinity-scorer", 4));
    decode.emplace_back(use("lora-affinity-scorer", 4));
  }
  types.insert(types.end(), {"queue-scorer", "kv-cache-utilization-scorer", "active-request-scorer",
                             "prefix-cache-scorer", "max-score-picker", "always-disagg-pd-decider"});
  json::Array plugins = plugins_of(types);
  plugins.emplace_back(
      json::Object{{"type", "disagg-profile-handler"},
                   {"parameters", {{"deciders", {{"prefill", "always-disagg-pd-decider"}}}}}});
  for (const auto& [name, weight] : {std::pair{"prefix-cache-scorer", 3}, std::pair{"queue-scorer", 2},
                                     std::pair{"kv-cache-utilization-scorer", 2}}) {
    prefill.emplace_back(use(name, weight));
  }
  for (const auto& [name, weight] :
       {std::pair{"active-request-scorer", 2}, std::pair{"prefix-cache-scorer", 3}}) {
    decode.emplace_back(use(name, weight));
  }
  prefill.emplace_back(use("max-score-picker"));
  decode.emplace_back(use("max-score-picker"));
  config["plugins"] = std::move(plugins);
  config["schedulingProfiles"] =
      json::Array{json::Object{{"name", "prefill"}, {"plugins", std::move(prefill)}},
                  json::Object{{"name", "decode"}, {"plugins", std::move(decode)}}};
  return config;
}

// ---- Migrations.

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kRenamed{
    {{"prefill-header-handler", "disagg-headers-handler"}, {"pd-profile-handler", "disagg-profile-handler"}}};

std::string text_at(const json::Object& object, std::string_view key) {
  const auto* value = object.if_contains(boost::json::string_view(key.data(), key.size()));
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

void replace_text(json::Object& object, std::string_view key, std::string_view old_text,
                  std::string_view new_text) {
  if (text_at(object, key) == old_text) {
    object[boost::json::string_view(key.data(), key.size())] = text_value(new_text);
  }
}

// Calls `use` with every plugin, or with every reference to one in a profile.
template <class Use>
void for_each_plugin(json::Object& config, Use use) {
  for (json::Value& plugin : list_in(config, "plugins")) {
    if (plugin.is_object()) {
      use(plugin.get_object());
    }
  }
}
template <class Use>
void for_each_reference(json::Object& config, Use use) {
  for (json::Value& profile : list_in(config, "schedulingProfiles")) {
    if (!profile.is_object()) {
      continue;
    }
    for (json::Value& reference : list_in(profile.get_object(), "plugins")) {
      if (reference.is_object()) {
        use(reference.get_object());
      }
    }
  }
}

void rename(json::Object& config, std::string_view old_name, std::string_view new_name) {
  for_each_plugin(config, [&](json::Object& plugin) {
    replace_text(plugin, "type", old_name, new_name);
    replace_text(plugin, "name", old_name, new_name);
  });
  for_each_reference(
      config, [&](json::Object& reference) { replace_text(reference, "pluginRef", old_name, new_name); });
}

json::Object* parameters_of(json::Object& plugin) {
  auto* parameters = plugin.if_contains("parameters");
  return parameters != nullptr ? parameters->if_object() : nullptr;
}

void erase_everywhere(json::Value& value, std::string_view key) {
  if (auto* list = value.if_array()) {
    for (json::Value& item : *list) {
      erase_everywhere(item, key);
    }
  } else if (auto* object = value.if_object()) {
    object->stable_erase(boost::json::string_view(key.data(), key.size()));
    for (auto& member : *object) {
      erase_everywhere(member.value(), key);
    }
  }
}

// threshold 0: always split; N characters: split from about N/4 tokens that are not cached.
json::Object decider_for(long long threshold) {
  if (threshold <= 0) {
    return plugin("always-disagg-pd-decider");
  }
  json::Object decider = plugin("prefix-based-pd-decider");
  const auto tokens = std::max(1LL, (threshold + 3) / 4);
  decider["parameters"] = {{"nonCachedTokens", tokens}};
  return decider;
}

// The profile handler names its decider, which must stand in front of it.
void add_deciders(json::Object& config) {
  json::Array& plugins = list_in(config, "plugins");
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    auto* handler = plugins[i].if_object();
    json::Object* parameters = handler != nullptr && text_at(*handler, "type") == "disagg-profile-handler"
                                   ? parameters_of(*handler)
                                   : nullptr;
    if (parameters == nullptr || parameters->contains("deciders")) {
      continue;
    }
    std::string name = text_at(*parameters, "deciderPluginName");
    std::optional<json::Object> decider;
    if (const auto* threshold = parameters->if_contains("threshold"); name.empty() && threshold != nullptr) {
      decider = decider_for(json::as_integer(*threshold).value_or(0));
      name = text_at(*decider, "type");
    }
    if (name.empty()) {
      continue;
    }
    parameters->stable_erase("deciderPluginName");
    parameters->stable_erase("threshold");
    (*parameters)["deciders"] = {{"prefill", name}};
    if (decider) {
      plugins.insert(plugins.begin() + static_cast<std::ptrdiff_t>(i), json::Value(std::move(*decider)));
      ++i;
    }
  }
}

void move_cache_parameters(json::Object& plugin) {
  json::Object* parameters = parameters_of(plugin);
  if (parameters == nullptr) {
    return;
  }
  const std::string type = text_at(plugin, "type");
  if (type == "precise-prefix-cache-scorer") {
    const json::Value value(*parameters);
    const auto* moved = json::find(value, "indexerConfig.tokenProcessorConfig");
    if (moved != nullptr && !parameters->contains("tokenProcessorConfig")) {
      (*parameters)["tokenProcessorConfig"] = *moved;
    }
  } else if (type == "prefix-cache-scorer" && parameters->contains("blockSize") &&
             !parameters->contains("blockSizeTokens")) {
    (*parameters)["blockSizeTokens"] = parameters->at("blockSize");
  }
}

void keep_producer_only(json::Object& plugin) {
  json::Object* parameters = parameters_of(plugin);
  if (parameters == nullptr || text_at(plugin, "type") != "prefix-cache-scorer") {
    return;
  }
  const auto* producer = parameters->if_contains("prefixMatchInfoProducerName");
  if (producer == nullptr) {
    plugin.stable_erase("parameters");
  } else {
    json::Object kept{{"prefixMatchInfoProducerName", *producer}};
    *parameters = std::move(kept);
  }
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMetricFlags{
    {{"total-queued-requests-metric", "queuedRequestsSpec"},
     {"total-running-requests-metric", "runningRequestsSpec"},
     {"kv-cache-usage-percentage-metric", "kvUsageSpec"},
     {"lora-info-metric", "loraSpec"},
     {"cache-info-metric", "cacheInfoSpec"}}};

// "--name=value" or "-name" -> name
std::string_view flag_name(std::string_view argument) {
  const std::size_t dashes = std::min(argument.find_first_not_of('-'), argument.size());
  const std::string_view name = argument.substr(dashes);
  return dashes == 1 || dashes == 2 ? name.substr(0, name.find('=')) : std::string_view();
}

}  // namespace

json::Object default_scheduler_config(bool has_prefill, bool has_adapters) {
  return has_prefill ? split_profiles(has_adapters) : single_profile(has_adapters);
}

Result<SchedulerVersion> scheduler_version(std::string_view text) {
  if (text.empty()) {
    return SchedulerVersion{};
  }
  const auto parts = split(text.starts_with('v') ? text.substr(1) : text, '.');
  const auto major = parse_integer(parts[0]);
  const auto minor = parts.size() > 1 ? parse_integer(parts[1]) : std::nullopt;
  if (!major || !minor) {
    return invalid_argument("spec.router.scheduler.annotations: app.kubernetes.io/version '{}' is no version",
                            text)
        .hint("write it like 0.9.0");
  }
  return SchedulerVersion{.major = static_cast<int>(*major), .minor = static_cast<int>(*minor)};
}

void migrate_scheduler_config(json::Object& config, SchedulerVersion version) {
  for_each_plugin(config, move_cache_parameters);
  if (version >= SchedulerVersion{0, 7}) {
    for (const auto& [old_name, new_name] : kRenamed) {
      rename(config, old_name, new_name);
    }
    add_deciders(config);
    for_each_plugin(config, [](json::Object& plugin) {
      if (auto* parameters = plugin.if_contains("parameters")) {
        erase_everywhere(*parameters, "hashBlockSize");
      }
    });
  }
  if (version >= SchedulerVersion{0, 8}) {
    rename(config, "model-server-protocol-metrics", "core-metrics-extractor");
  }
  if (version >= SchedulerVersion{0, 9}) {
    for_each_plugin(config, keep_producer_only);
  }
}

void move_metric_flags(std::vector<std::string>& arguments, json::Object& config) {
  json::Object engine{{"name", "vllm"}};
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const auto* known = std::ranges::find(kMetricFlags, flag_name(argument),
                                          &std::pair<std::string_view, std::string_view>::first);
    if (known == kMetricFlags.end()) {
      kept.push_back(arguments[i]);
      continue;
    }
    const std::size_t equals = argument.find('=');
    std::string value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    }
    engine[boost::json::string_view(known->second.data(), known->second.size())] = value;
  }
  arguments = std::move(kept);
  if (engine.size() == 1) {
    return;
  }
  json::Object moved = plugin("model-server-protocol-metrics");
  moved["parameters"] = {{"defaultEngine", "vllm"},
                         {"engineConfigs", json::Array{std::move(engine)}},
                         {"engineLabelKey", "inference.networking.k8s.io/engine-type"}};
  list_in(config, "plugins").emplace_back(std::move(moved));
}

}  // namespace llmd::llmisvc
