#include "node/environment.h"

#include <boost/json.hpp>

#include <optional>

#include "crypto/encode.h"

namespace llmd::node {
namespace {

using boost::json::value;

std::string_view text_of(const value* found) {
  return found != nullptr && found->is_string() ? std::string_view(found->as_string()) : std::string_view();
}

// metadata.labels['x'] and the few paths the downward API knows.
Result<std::string> downward_field(const kube::Object& pod, std::string_view path) {
  for (const std::string_view kind : {"labels", "annotations"}) {
    const std::string prefix = fmt::format("metadata.{}['", kind);
    if (path.starts_with(prefix) && path.ends_with("']")) {
      const auto key = path.substr(prefix.size(), path.size() - prefix.size() - 2);
      return std::string(kind == "labels" ? kube::label_of(pod, key) : kube::annotation_of(pod, key));
    }
  }
  for (const std::string_view known : {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                       "spec.serviceAccountName", "status.podIP", "status.hostIP"}) {
    if (path == known) {
      return std::string(kube::find_string(pod, path));
    }
  }
  if (path == "status.podIPs") {
    return std::string(kube::find_string(pod, "status.podIP"));
  }
  return invalid_argument("fieldPath '{}' is not one the downward API knows", path);
}

// limits/requests as written; Kubernetes' divisor arithmetic is only defined for numbers we do not enforce
// here.
std::string resource_field(const kube::Object& container, std::string_view resource) {
  return std::string(kube::find_string(container, fmt::format("resources.{}", resource)));
}

Result<std::optional<std::string>> keyed_value(const kube::Object& reference, std::string_view kind,
                                               const std::map<std::string, kube::Object>& objects,
                                               bool encoded) {
  const std::string name(kube::find_string(reference, "name"));
  const auto key = kube::find_string(reference, "key");
  const bool optional = kube::find_bool(reference, "optional", false);
  const auto found = objects.find(name);
  if (found != objects.end()) {
    if (const auto* data = kube::find_object(found->second, "data"); data != nullptr && data->contains(key)) {
      const auto raw = text_of(data->if_contains(key));
      if (!encoded) {
        return std::string(raw);
      }
      LLMD_TRY(auto decoded, crypto::from_base64(raw));
      return decoded;
    }
  }
  if (optional) {
    return std::nullopt;
  }
  return not_found("{} '{}' has no key '{}'", kind, name, key)
      .hint(fmt::format("create it, or set optional: true"));
}

Result<std::optional<std::string>> referenced_value(const kube::Object& pod, const kube::Object& container,
                                                    const kube::Object& from,
                                                    const EnvironmentSources& sources) {
  if (const auto* field = kube::find_object(from, "fieldRef")) {
    LLMD_TRY(auto text, downward_field(pod, kube::find_string(*field, "fieldPath")));
    return text;
  }
  if (const auto* field = kube::find_object(from, "resourceFieldRef")) {
    return resource_field(container, kube::find_string(*field, "resource"));
  }
  if (const auto* reference = kube::find_object(from, "configMapKeyRef")) {
    return keyed_value(*reference, "ConfigMap", sources.config_maps, false);
  }
  if (const auto* reference = kube::find_object(from, "secretKeyRef")) {
    return keyed_value(*reference, "Secret", sources.secrets, true);
  }
  return invalid_argument("valueFrom names no source");
}

// Every entry of a ConfigMap or Secret, under an optional prefix.
Result<void> import_all(const kube::Object& entry, const EnvironmentSources& sources,
                        Environment& environment) {
  const auto* secret = kube::find_object(entry, "secretRef");
  const auto* reference = secret != nullptr ? secret : kube::find_object(entry, "configMapRef");
  if (reference == nullptr) {
    return invalid_argument("envFrom names neither configMapRef nor secretRef");
  }
  const auto& objects = secret != nullptr ? sources.secrets : sources.config_maps;
  const auto name = kube::find_string(*reference, "name");
  const auto found = objects.find(std::string(name));
  if (found == objects.end()) {
    return kube::find_bool(*reference, "optional", false)
               ? Result<void>()
               : Result<void>(not_found("envFrom: {} '{}' does not exist",
                                        secret != nullptr ? "Secret" : "ConfigMap", name));
  }
  const std::string prefix(kube::find_string(entry, "prefix"));
  const auto* data = kube::find_object(found->second, "data");
  for (std::size_t i = 0; data != nullptr && i < data->size(); ++i) {
    const auto& [key, raw] = *(data->begin() + static_cast<std::ptrdiff_t>(i));
    std::string text(text_of(&raw));
    if (secret != nullptr) {
      LLMD_TRY(text, crypto::from_base64(text));
    }
    environment[prefix + std::string(key)] = std::move(text);
  }
  return {};
}

}  // namespace

std::string expand_references(std::string_view text, const Environment& environment) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 >= text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const auto end = text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
    const auto known = end == std::string_view::npos
                           ? environment.end()
                           : environment.find(std::string(text.substr(i + 2, end - i - 2)));
    if (known == environment.end()) {
      out += '$';
    } else {
      out += known->second;
      i = end;
    }
  }
  return out;
}

Result<Environment> container_environment(const kube::Object& pod, const kube::Object& container,
                                          const EnvironmentSources& sources, const Environment& inherited) {
  Environment environment = inherited;
  const auto* imports = kube::find_array(container, "envFrom");
  for (std::size_t i = 0; imports != nullptr && i < imports->size(); ++i) {
    if (auto imported = import_all(imports->at(i).as_object(), sources, environment); !imported) {
      return std::unexpected(std::move(imported).error().within(
          fmt::format("container '{}'", kube::find_string(container, "name"))));
    }
  }
  const auto* entries = kube::find_array(container, "env");
  if (entries == nullptr) {
    return environment;
  }
  for (const value& entry : *entries) {
    if (!entry.is_object()) {
      continue;
    }
    const auto& object = entry.as_object();
    const std::string name(kube::find_string(object, "name"));
    if (const auto* from = kube::find_object(object, "valueFrom")) {
      auto found = referenced_value(pod, container, *from, sources);
      if (!found) {
        return std::unexpected(std::move(found).error().within(
            fmt::format("container '{}', env '{}'", kube::find_string(container, "name"), name)));
      }
      if (*found) {
        environment[name] = **found;
      }
    } else {
      environment[name] = expand_references(kube::find_string(object, "value"), environment);
    }
  }
  return environment;
}

}  // namespace llmd::node
