// What to run for a container: the image decides the program, the profile of that program decides how it is
// bound to the pod's own address. Pure; errors are what `kubectl describe pod` will say.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kube/object.h"
#include "node/environment.h"
#include "node/volumes.h"

namespace llmd::node {

struct LaunchFacts {
  std::string address;                // the pod's own
  std::filesystem::path llmd;         // this program
  std::filesystem::path model_cache;  // shared by all pods: models are fetched once
  // Finds a program on PATH; nullopt when it is not installed.
  std::function<std::optional<std::filesystem::path>(std::string_view)> find_program;
};

struct Launch {
  std::vector<std::string> arguments;  // arguments[0] is the program
  Environment environment;
  std::filesystem::path working_directory;
  std::string note;  // what stands in for what ("llmd serve for image vllm/vllm-openai:latest"); for an event
};

Result<Launch> plan_launch(const kube::Object& container, const Environment& environment,
                           const std::vector<Mount>& mounts, const LaunchFacts& facts);

}  // namespace llmd::node
