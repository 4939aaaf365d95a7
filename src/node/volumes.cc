#include "node/volumes.h"

#include <boost/json.hpp>

#include <algorithm>

#include "base/file.h"
#include "crypto/encode.h"

namespace llmd::node {
namespace {

Result<void> make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return system_error(error.value(), "create " + path.string());
  }
  return {};
}

Result<void> write_files(const kube::Object& source, bool encoded, const std::filesystem::path& folder) {
  LLMD_TRY_VOID(make_folder(folder));
  const auto* data = kube::find_object(source, "data");
  if (data == nullptr) {
    return {};
  }
  for (const auto& [key, value] : *data) {
    if (key.find('/') != key.npos || key == "." || key == "..") {
      return invalid_argument("'{}' in {} is no file name", std::string_view(key), kube::name_of(source));
    }
    std::string content(value.is_string() ? std::string_view(value.as_string()) : std::string_view());
    if (encoded) {
      LLMD_TRY(content, crypto::from_base64(content));
    }
    LLMD_TRY_VOID(write_file_atomically(folder / std::string_view(key), content, 0400));
  }
  return {};
}

Result<void> write_source(const std::map<std::string, kube::Object>& objects, std::string_view kind,
                          std::string_view name, bool optional, bool encoded,
                          const std::filesystem::path& folder) {
  const auto found = objects.find(std::string(name));
  if (found == objects.end()) {
    return optional ? make_folder(folder) : Result<void>(not_found("{} '{}' does not exist", kind, name));
  }
  return write_files(found->second, encoded, folder);
}

std::filesystem::path claim_folder(const std::filesystem::path& data, std::string_view name_space,
                                   std::string_view claim) {
  return data / "volumes" / name_space / claim;
}

Result<void> prepare_volume(const kube::Object& volume, std::string_view name_space,
                            const EnvironmentSources& sources, const PodFolder& folder,
                            const std::filesystem::path& data) {
  const auto target = folder.volume(kube::find_string(volume, "name"));
  if (volume.contains("emptyDir")) {
    return make_folder(target);
  }
  if (const auto* host = kube::find_object(volume, "hostPath")) {
    const auto type = kube::find_string(*host, "type");
    return type == "DirectoryOrCreate" ? make_folder(kube::find_string(*host, "path")) : Result<void>();
  }
  if (const auto* source = kube::find_object(volume, "configMap")) {
    return write_source(sources.config_maps, "ConfigMap", kube::find_string(*source, "name"),
                        kube::find_bool(*source, "optional", false), false, target);
  }
  if (const auto* source = kube::find_object(volume, "secret")) {
    return write_source(sources.secrets, "Secret", kube::find_string(*source, "secretName"),
                        kube::find_bool(*source, "optional", false), true, target);
  }
  if (const auto* claim = kube::find_object(volume, "persistentVolumeClaim")) {
    return make_folder(claim_folder(data, name_space, kube::find_string(*claim, "claimName")));
  }
  return unimplemented("volume '{}': this kind of volume has no meaning on one machine",
                       kube::find_string(volume, "name"))
      .hint("use emptyDir, hostPath, configMap, secret or persistentVolumeClaim");
}

const kube::Object* find_volume(const kube::Object& pod, std::string_view name) {
  if (const auto* volumes = kube::find_array(pod, "spec.volumes")) {
    for (const auto& volume : *volumes) {
      if (volume.is_object() && kube::find_string(volume.as_object(), "name") == name) {
        return &volume.as_object();
      }
    }
  }
  return nullptr;
}

}  // namespace

Result<void> prepare_volumes(const kube::Object& pod, const EnvironmentSources& sources,
                             const PodFolder& folder, const std::filesystem::path& data) {
  const auto* volumes = kube::find_array(pod, "spec.volumes");
  if (volumes == nullptr) {
    return {};
  }
  for (const auto& volume : *volumes) {
    if (volume.is_object()) {
      LLMD_TRY_VOID(prepare_volume(volume.as_object(), kube::namespace_of(pod), sources, folder, data));
    }
  }
  return {};
}

Result<std::vector<Mount>> container_mounts(const kube::Object& pod, const kube::Object& container,
                                            const PodFolder& folder, const std::filesystem::path& data) {
  std::vector<Mount> mounts;
  const auto* entries = kube::find_array(container, "volumeMounts");
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto& entry = entries->at(i).as_object();
    const auto name = kube::find_string(entry, "name");
    const auto* volume = find_volume(pod, name);
    if (volume == nullptr) {
      return invalid_argument("container '{}' mounts volume '{}', which the pod does not have",
                              kube::find_string(container, "name"), name);
    }
    std::filesystem::path host = folder.volume(name);
    if (const auto* host_path = kube::find_object(*volume, "hostPath")) {
      host = std::filesystem::path(std::string(kube::find_string(*host_path, "path")));
    } else if (const auto* claim = kube::find_object(*volume, "persistentVolumeClaim")) {
      host = claim_folder(data, kube::namespace_of(pod), kube::find_string(*claim, "claimName"));
    }
    if (const auto sub_path = kube::find_string(entry, "subPath"); !sub_path.empty()) {
      host /= sub_path;
    }
    std::string path(kube::find_string(entry, "mountPath"));
    while (path.size() > 1 && path.ends_with('/')) {
      path.pop_back();
    }
    mounts.push_back({std::move(path), std::move(host)});
  }
  std::ranges::sort(mounts, std::greater<>(), [](const Mount& mount) { return mount.container_path.size(); });
  return mounts;
}

std::string to_host_path(std::string_view text, const std::vector<Mount>& mounts) {
  std::error_code ignored;
  std::string_view flag;
  std::string_view path = text;
  if (text.starts_with("--")) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
      return std::string(text);
    }
    flag = text.substr(0, equals + 1);
    path = text.substr(equals + 1);
  }
  for (const Mount& mount : mounts) {
    if (path == mount.container_path) {
      return std::string(flag) + mount.host_path.string();
    }
    if (path.starts_with(mount.container_path) && path[mount.container_path.size()] == '/') {
      const auto host = mount.host_path.string() + std::string(path.substr(mount.container_path.size()));
      const bool meant = std::filesystem::exists(host, ignored) || !std::filesystem::exists(path, ignored);
      return std::string(flag) + (meant ? host : std::string(path));
    }
  }
  return std::string(text);
}

}  // namespace llmd::node
