#include "llmisvc/merge.h"

#include <algorithm>
#include <array>
#include <utility>

namespace llmd::llmisvc {
namespace {

using Text = boost::json::string_view;

Text text(std::string_view value) {
  return {value.data(), value.size()};
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kMergeKeys{{
    {"containers", "name"},
    {"initContainers", "name"},
    {"ephemeralContainers", "name"},
    {"env", "name"},
    {"ports", "containerPort"},
    {"volumeMounts", "mountPath"},
    {"volumeDevices", "devicePath"},
    {"volumes", "name"},
    {"imagePullSecrets", "name"},
    {"hostAliases", "ip"},
    {"topologySpreadConstraints", "topologyKey"},
    {"resourceClaims", "name"},
    {"schedulingGates", "name"},
}};

std::string_view directive(const json::Value& value) {
  const auto* object = value.if_object();
  const auto* patch = object != nullptr ? object->if_contains("$patch") : nullptr;
  return patch != nullptr && patch->is_string()
             ? std::string_view(patch->get_string().data(), patch->get_string().size())
             : std::string_view();
}

// Which members exclude each other in an object that is (an element of) `field`.
enum class Union { None, EnvValue, VolumeSource, Handler, ClaimSource };

Union union_of(std::string_view field) {
  if (field == "env") {
    return Union::EnvValue;
  }
  if (field == "volumes") {
    return Union::VolumeSource;
  }
  if (field == "resourceClaims") {
    return Union::ClaimSource;
  }
  return field == "livenessProbe" || field == "readinessProbe" || field == "startupProbe" ||
                 field == "preStop" || field == "postStart"
             ? Union::Handler
             : Union::None;
}

bool takes_part(Union kind, std::string_view member) {
  switch (kind) {
    case Union::EnvValue:
      return member == "value" || member == "valueFrom";
    case Union::VolumeSource:
      return member != "name";
    case Union::ClaimSource:
      return member == "resourceClaimName" || member == "resourceClaimTemplateName";
    case Union::Handler:
      return member == "exec" || member == "grpc" || member == "httpGet" || member == "tcpSocket" ||
             member == "sleep";
    case Union::None:
      break;
  }
  return false;
}

void drop_other_kinds(json::Object& base, const json::Object& override_with, Union kind) {
  const auto chosen = std::ranges::find_if(override_with, [&](const auto& member) {
    return takes_part(kind, {member.key().data(), member.key().size()}) && !member.value().is_null();
  });
  if (chosen == override_with.end()) {
    return;
  }
  std::vector<std::string> gone;
  for (const auto& member : base) {
    const std::string_view name(member.key().data(), member.key().size());
    if (takes_part(kind, name) && !override_with.contains(member.key())) {
      gone.emplace_back(name);
    }
  }
  for (const std::string& name : gone) {
    base.erase(name);
  }
}

json::Value merge_value(const json::Value* base, const json::Value& with, std::string_view field);

// A value that overrides nothing, without its directives.
json::Value without_directives(const json::Value& value) {
  return merge_value(nullptr, value, {});
}

json::Object merge_object(json::Object base, const json::Object& with, Union kind) {
  drop_other_kinds(base, with, kind);
  for (const auto& member : with) {
    const std::string_view name(member.key().data(), member.key().size());
    if (name == "$patch") {
      continue;
    }
    if (member.value().is_null() || directive(member.value()) == "delete") {
      // Removing must not reorder what stays, so no swap with the last member: erase keeps no order in
      // Boost.JSON.
      base.stable_erase(member.key());
      continue;
    }
    const json::Value* old = base.if_contains(member.key());
    base[member.key()] = merge_value(old, member.value(), name);
  }
  return base;
}

json::Array merge_list(const json::Array& base, const json::Array& with, std::string_view field,
                       std::string_view key) {
  json::Array result = base;
  for (const json::Value& element : with) {
    const auto* object = element.if_object();
    const json::Value* id = object != nullptr ? object->if_contains(text(key)) : nullptr;
    auto found = result.end();
    if (id != nullptr) {
      found = std::ranges::find_if(result, [&](const json::Value& candidate) {
        const auto* other = candidate.if_object();
        const auto* other_id = other != nullptr ? other->if_contains(text(key)) : nullptr;
        return other_id != nullptr && *other_id == *id;
      });
    }
    if (directive(element) == "delete") {
      if (found != result.end()) {
        result.erase(found);
      }
    } else if (found == result.end()) {
      result.push_back(without_directives(element));
    } else {
      *found = merge_value(&*found, element, field);
    }
  }
  return result;
}

json::Value merge_value(const json::Value* base, const json::Value& with, std::string_view field) {
  if (const auto* object = with.if_object()) {
    const bool fresh = base == nullptr || !base->is_object() || directive(with) == "replace";
    return json::Value(merge_object(fresh ? json::Object() : base->get_object(), *object, union_of(field)));
  }
  const std::string_view key = merge_key(field);
  if (const auto* list = with.if_array(); list != nullptr && !key.empty()) {
    const bool fresh = base == nullptr || !base->is_array();
    return json::Value(merge_list(fresh ? json::Array() : base->get_array(), *list, field, key));
  }
  return with;
}

}  // namespace

std::string_view merge_key(std::string_view field) {
  const auto* found =
      std::ranges::find(kMergeKeys, field, &std::pair<std::string_view, std::string_view>::first);
  return found == kMergeKeys.end() ? std::string_view() : found->second;
}

json::Object merge(const json::Object& base, const json::Object& override_with) {
  return merge_object(base, override_with, Union::None);
}

}  // namespace llmd::llmisvc
