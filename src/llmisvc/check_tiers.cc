// Rules about memory tiers, encrypted models and devices.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/check_parts.h"
#include "llmisvc/dns_name.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

void add(Findings& findings, std::string_view code, std::string path, std::string sentence, std::string fix,
         Severity severity = Severity::Error) {
  findings.push_back({.code = std::string(code),
                      .severity = severity,
                      .path = std::move(path),
                      .sentence = std::move(sentence),
                      .fix = std::move(fix)});
}

bool is_zero(const json::Value* quantity) {
  if (quantity == nullptr || quantity->is_null()) {
    return true;
  }
  if (quantity->is_number()) {
    return quantity->to_number<double>() <= 0;
  }
  const std::string_view text = text_view(*quantity);
  const auto number = parse_number(text.substr(0, text.find_first_not_of("0123456789.")));
  return !number || *number <= 0;
}

// Exactly one of two members.
bool has_one_of(const json::Value& value, std::string_view a, std::string_view b) {
  return (json::find(value, a) != nullptr) != (json::find(value, b) != nullptr);
}

void check_tier(const json::Value& tier, const std::string& path, Findings& findings) {
  const auto* files = json::find(tier, "fileSystem");
  if (files == nullptr || !files->is_object()) {
    return add(findings, "kv-cache", path, "a tier needs fileSystem",
               "add fileSystem: {emptyDir: {size: 100Gi}}");
  }
  if (!has_one_of(*files, "emptyDir", "pvc")) {
    return add(findings, "kv-cache", path + ".fileSystem", "exactly one of emptyDir and pvc must be set",
               "keep one of them");
  }
  if (json::find(*files, "emptyDir") != nullptr && is_zero(json::find(*files, "emptyDir.size"))) {
    add(findings, "kv-cache", path + ".fileSystem.emptyDir", "needs a size", "add size: 100Gi");
  }
  const auto* claim = json::find(*files, "pvc");
  if (claim == nullptr) {
    return;
  }
  if (!has_one_of(*claim, "spec", "ref")) {
    add(findings, "kv-cache", path + ".fileSystem.pvc", "exactly one of spec and ref must be set",
        "keep one of them");
  } else if (json::find(*claim, "ref") != nullptr &&
             json::string_at(*claim, "ref.name").value_or("").empty()) {
    add(findings, "kv-cache", path + ".fileSystem.pvc.ref", "needs the claim's name", "add name");
  }
}

// kbs:///REPOSITORY/TYPE/TAG
bool is_key_place(std::string_view text) {
  constexpr std::string_view kScheme = "kbs:///";
  if (!text.starts_with(kScheme)) {
    return false;
  }
  const auto parts = split(text.substr(kScheme.size()), '/');
  return parts.size() == 3 && std::ranges::none_of(parts, [](std::string_view part) { return part.empty(); });
}

}  // namespace

void check_cache_tiers(const Workload& workload, Findings& findings) {
  if (!workload.kv_cache) {
    return;
  }
  const json::Value cache(*workload.kv_cache);
  const std::string path = workload.path + ".kvCacheOffloading";
  const auto* tiers = json::array_at(cache, "secondary");
  const bool has_tiers = tiers != nullptr && !tiers->empty();
  if (const auto* cpu = json::find(cache, "cpu"); is_zero(cpu) && (cpu != nullptr || has_tiers)) {
    add(findings, "kv-cache", cpu != nullptr ? path + ".cpu" : path, "main memory must be more than nothing",
        "add cpu: 32Gi");
  }
  for (std::size_t i = 0; has_tiers && i < tiers->size(); ++i) {
    check_tier((*tiers)[i], fmt::format("{}.secondary[{}]", path, i), findings);
  }
}

void check_devices(const Workload& workload, Findings& findings) {
  const json::Value pod(workload.pod.value_or(json::Object()));
  const auto* containers = json::array_at(pod, "containers");
  for (std::size_t i = 0; containers != nullptr && i < containers->size(); ++i) {
    const json::Value& container = (*containers)[i];
    const auto* env = json::array_at(container, "env");
    for (std::size_t j = 0; env != nullptr && j < env->size(); ++j) {
      const auto name = json::string_at((*env)[j], "name").value_or("");
      const auto value = json::string_at((*env)[j], "value").value_or("");
      const std::string path = fmt::format("{}.template.containers[{}].env[{}]", workload.path, i, j);
      if (name == "NVIDIA_VISIBLE_DEVICES" && !value.empty() && value != "all" && value != "void" &&
          value != "none") {
        add(findings, "pinned-devices", path,
            fmt::format("NVIDIA_VISIBLE_DEVICES={} takes a GPU past Kubernetes, perhaps another pod's",
                        value),
            "remove it: the requested GPUs are the ones the container sees", Severity::Warning);
      }
      const auto asked = workload.pod ? accelerators_of(*workload.pod) : std::nullopt;
      const auto listed = static_cast<long long>(split(value, ',').size());
      if (name == "CUDA_VISIBLE_DEVICES" && !value.empty() && asked && *asked != listed &&
          json::string_at(container, "name").value_or("") == "main") {
        add(findings, "pinned-devices", path,
            fmt::format("CUDA_VISIBLE_DEVICES lists {} GPUs, the container asks for {}", listed, *asked),
            "remove it", Severity::Warning);
      }
    }
  }
}

void check_confidential(const Service& service, Findings& findings) {
  const json::Value spec(service.spec);
  const std::string path = "spec.model.confidential";
  if (!json::bool_at(spec, "model.confidential.enabled").value_or(false)) {
    return;
  }
  if (service.model.uri.starts_with("oci") || service.model.uri.starts_with("pvc://")) {
    add(findings, "confidential", path, "models from images and volumes are not decrypted",
        "use a URI that is downloaded", Severity::Warning);
  }
  if (const auto place = json::string_at(spec, "model.confidential.resourceId");
      place && !is_key_place(*place)) {
    add(findings, "confidential", path + ".resourceId",
        fmt::format("'{}' is not kbs:///REPOSITORY/TYPE/TAG", *place),
        "write the key's place at the key broker");
  }
}

void check_device_claims(const Service& service, Findings& findings) {
  const json::Value metadata(service.metadata);
  const auto* annotations = json::object_at(metadata, "annotations");
  if (annotations == nullptr) {
    return;
  }
  constexpr std::string_view kPrefix = "serving.kserve.io/exp-dra-";
  const auto text = [&](std::string_view key) -> std::optional<std::string_view> {
    const auto* value = annotations->if_contains(key_text(std::string(kPrefix) + std::string(key)));
    return value != nullptr ? std::optional(text_view(*value)) : std::nullopt;
  };
  const auto place = [&](std::string_view key) {
    return fmt::format("metadata.annotations[{}{}]", kPrefix, key);
  };
  const auto device_class = text("device-class");
  for (const std::string_view key : {"device-count", "cel-selector", "container-name"}) {
    if (text(key) && !device_class) {
      add(findings, "device-claim", place(key), "means nothing without the device class",
          fmt::format("add {}device-class", kPrefix));
    }
  }
  if (device_class &&
      (device_class->empty() || !std::ranges::all_of(split(*device_class, '.'), [](auto part) {
         return is_dns_label("x" + std::string(part)) && !part.empty();
       }))) {
    add(findings, "device-claim", place("device-class"),
        fmt::format("'{}' is not the name of a class", *device_class), "for example gpu.nvidia.com");
  }
  if (const auto count = text("device-count"); count && parse_integer(*count).value_or(0) < 1) {
    add(findings, "device-claim", place("device-count"),
        fmt::format("'{}' is not a number of devices", *count), "write 1 or more");
  }
  if (const auto selector = text("cel-selector"); selector && trim(*selector).empty()) {
    add(findings, "device-claim", place("cel-selector"), "is empty",
        "remove it, or write one expression per line");
  }
  if (const auto name = text("container-name"); name && !is_dns_label(*name)) {
    add(findings, "device-claim", place("container-name"), fmt::format("'{}' cannot name a container", *name),
        "write the container's name, for example main");
  }
}

void check_scheduler_config(const json::Value& spec, Findings& findings) {
  const auto* config = json::find(spec, "router.scheduler.config");
  if (config == nullptr || !config->is_object()) {
    return;
  }
  const std::string path = "spec.router.scheduler.config";
  const auto* inline_config = json::find(*config, "inline");
  const bool has_inline = inline_config != nullptr && !inline_config->is_null();
  const bool has_reference = json::object_at(*config, "ref") != nullptr;
  if (has_inline == has_reference) {
    add(findings, "scheduler-config", path,
        has_inline ? "inline and ref exclude each other" : "one of inline and ref must be set",
        has_inline ? "keep one of them" : "write the configuration under inline, or remove config");
  } else if (has_inline && json::write(*inline_config).size() < 3) {
    add(findings, "scheduler-config", path + ".inline", "is empty", "write an EndpointPickerConfig");
  } else if (has_reference && json::string_at(*config, "ref.name").value_or("").empty()) {
    add(findings, "scheduler-config", path + ".ref", "needs the ConfigMap's name", "add name");
  }
}

}  // namespace llmd::llmisvc
