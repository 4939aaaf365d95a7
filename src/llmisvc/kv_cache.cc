#include "llmisvc/kv_cache.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/pod_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 12> kSuffixes{{{"", 1},
                                                                         {"m", 1e-3},
                                                                         {"k", 1e3},
                                                                         {"M", 1e6},
                                                                         {"G", 1e9},
                                                                         {"T", 1e12},
                                                                         {"P", 1e15},
                                                                         {"Ki", 1024.0},
                                                                         {"Mi", 1048576.0},
                                                                         {"Gi", 1073741824.0},
                                                                         {"Ti", 1099511627776.0},
                                                                         {"Pi", 1125899906842624.0}}};

std::string tier_folder(std::size_t index) {
  return fmt::format("/mnt/kv-cache-{}", index);
}

const json::Array& tiers_of(const json::Object& offloading) {
  static const json::Array kNone;
  const auto* tiers = offloading.if_contains("secondary");
  return tiers != nullptr && tiers->is_array() ? tiers->get_array() : kNone;
}

// What a pod may fill on its node is asked for, so that the scheduler finds one with room.
void add_ephemeral_storage(json::Object& server, const json::Value& size) {
  json::Object& requests = object_member(object_member(server, "resources"), "requests");
  json::Value& storage = requests["ephemeral-storage"];
  const long long sum = quantity_of(storage).value_or(0) + quantity_of(size).value_or(0);
  storage = storage.is_null() ? size : json::Value(text_value(fmt::format("{}", sum)));
}

}  // namespace

std::optional<long long> quantity_of(const json::Value& value) {
  if (value.is_number()) {
    return static_cast<long long>(std::ceil(value.to_number<double>()));
  }
  if (!value.is_string()) {
    return std::nullopt;
  }
  const std::string_view text(value.get_string().data(), value.get_string().size());
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return std::nullopt;
  }
  const std::string_view suffix(end, text.data() + text.size());
  for (const auto& [name, factor] : kSuffixes) {
    if (name == suffix && number * factor < 9e18) {
      return static_cast<long long>(std::ceil(number * factor));
    }
  }
  return std::nullopt;
}

std::string kv_transfer_config(const json::Object& offloading) {
  json::Object extra{{"spec_name", "TieringOffloadingSpec"}};
  if (const auto* cpu = offloading.if_contains("cpu")) {
    extra["cpu_bytes_to_use"] = quantity_of(*cpu).value_or(0);
  }
  if (const auto* policy = offloading.if_contains("evictionPolicy")) {
    extra["eviction_policy"] = *policy;
  }
  json::Array tiers;
  for (std::size_t i = 0; i < tiers_of(offloading).size(); ++i) {
    tiers.emplace_back(json::Object{{"type", "fs"}, {"root_dir", tier_folder(i)}});
  }
  if (!tiers.empty()) {
    extra["secondary_tiers"] = std::move(tiers);
  }
  const json::Object config{{"kv_connector", "OffloadingConnector"},
                            {"kv_role", "kv_both"},
                            {"kv_connector_extra_config", std::move(extra)}};
  return json::write(json::Value(config));
}

void add_tier_volumes(json::Object& pod, json::Object& server, const json::Object& offloading) {
  std::size_t index = 0;
  for (const json::Value& tier : tiers_of(offloading)) {
    const std::string name = fmt::format("kv-cache-secondary-{}", index);
    std::string folder;
    if (const auto* size = json::find(tier, "fileSystem.emptyDir.size")) {
      add_volume(pod, name, {{"emptyDir", {{"sizeLimit", *size}}}});
      add_ephemeral_storage(server, *size);
    } else if (const auto* spec = json::object_at(tier, "fileSystem.pvc.spec")) {
      add_volume(pod, name, {{"ephemeral", {{"volumeClaimTemplate", {{"spec", *spec}}}}}});
    } else if (const auto claim = json::string_at(tier, "fileSystem.pvc.ref.name")) {
      add_volume(pod, name, {{"persistentVolumeClaim", {{"claimName", text_value(*claim)}}}});
      folder = json::string_at(tier, "fileSystem.pvc.ref.path").value_or("");
    } else {
      continue;  // check() has said so
    }
    add_mount(server, name, tier_folder(index), false, folder);
    ++index;
  }
}

}  // namespace llmd::llmisvc
