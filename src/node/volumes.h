// Volumes as folders. A container sees paths of its own (/mnt/models); a process sees the machine's. Mounts
// say which is which, and arguments and environment values that name a mounted path are rewritten to the
// folder behind it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"
#include "node/environment.h"
#include "node/pod_folder.h"

namespace llmd::node {

struct Mount {
  std::string container_path;       // as in volumeMounts, without a trailing '/'
  std::filesystem::path host_path;  // subPath applied
};

// Makes the pod's volumes (emptyDir: a folder; hostPath: the path itself; configMap and secret: files, mode
// 0400; persistentVolumeClaim: a folder of that name shared by all pods under <data>/volumes). Other kinds
// are refused.
Result<void> prepare_volumes(const kube::Object& pod, const EnvironmentSources& sources,
                             const PodFolder& folder, const std::filesystem::path& data);

// The container's mounts, longest path first.
Result<std::vector<Mount>> container_mounts(const kube::Object& pod, const kube::Object& container,
                                            const PodFolder& folder, const std::filesystem::path& data);

// Rewrites a text that is a mounted path, lies below one, or has the form --flag=/mounted/path. What lies
// below stays when the machine has it and the volume does not: presets mount /tmp, and a user's model may be
// there.
std::string to_host_path(std::string_view text, const std::vector<Mount>& mounts);

}  // namespace llmd::node
