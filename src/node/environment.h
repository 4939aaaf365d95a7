// The environment of a container: the node's own, then envFrom, then env, with $(NAME) references resolved in
// order.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kube/object.h"

namespace llmd::node {

using Environment = std::map<std::string, std::string>;

// Objects that env entries refer to, fetched beforehand: by name, in the pod's namespace.
struct EnvironmentSources {
  std::map<std::string, kube::Object> config_maps;
  std::map<std::string, kube::Object> secrets;
};

// `pod` must carry status.podIP already. Errors name the container and the entry: a missing key, an unknown
// fieldPath.
Result<Environment> container_environment(const kube::Object& pod, const kube::Object& container,
                                          const EnvironmentSources& sources, const Environment& inherited);

// Kubernetes' rule for command, args and env values: $(NAME) is replaced when NAME is known, $$(NAME) is an
// escape, anything else stays as it is.
std::string expand_references(std::string_view text, const Environment& environment);

}  // namespace llmd::node
