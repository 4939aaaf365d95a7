// The command line that starts a model server in a container, as an argument vector: no shell sees what a
// manifest says. engine_profile.h is the other direction: it takes such a command line apart.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmd::llmisvc {

enum class Engine { Vllm, Sglang, LlamaServer, Llmd };

// The engine that an image runs by its name; vLLM for images nobody knows, as KServe assumes.
Engine engine_of_image(std::string_view image);

// The vLLM version an image's tag names (vllm/vllm-openai:v0.11.0): flags that depend on it are left out
// without one.
struct EngineVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
  auto operator<=>(const EngineVersion&) const = default;
};
std::optional<EngineVersion> version_of_image(std::string_view image);

struct LaunchOptions {
  std::string model_path = "/mnt/models";
  std::string model_file = {};  // name of the single file in it, where known (*.gguf)
  std::vector<std::string> served_names = {};
  int port = 8000;
  std::optional<long long> tensor = {};
  std::optional<long long> pipeline = {};
  std::optional<std::string> certificate_folder = {};  // TLS
  std::optional<long long> shutdown_seconds = {};
  std::optional<EngineVersion> version = {};
};
std::vector<std::string> launch_command(Engine engine, const LaunchOptions& options);

}  // namespace llmd::llmisvc
