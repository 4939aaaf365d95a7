#include "llmisvc/launch.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace llmd::llmisvc {
namespace {

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// registry/path/name:tag@digest -> registry/path/name, tag
struct ImageName {
  std::string_view path;
  std::string_view tag;
};
ImageName image_name(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const std::size_t colon = image.rfind(':');
  if (colon == std::string_view::npos || image.find('/', colon) != std::string_view::npos) {
    return {.path = image, .tag = {}};
  }
  return {.path = image.substr(0, colon), .tag = image.substr(colon + 1)};
}

void add_flag(std::vector<std::string>& command, std::string_view flag,
              const std::optional<long long>& value) {
  if (value) {
    command.emplace_back(flag);
    command.push_back(fmt::format("{}", *value));
  }
}

std::vector<std::string> vllm_command(std::string program, const LaunchOptions& options) {
  std::vector<std::string> command{std::move(program), "serve", options.model_path, "--served-model-name"};
  command.insert(command.end(), options.served_names.begin(), options.served_names.end());
  add_flag(command, "--port", options.port);
  add_flag(command, "--tensor-parallel-size", options.tensor);
  add_flag(command, "--pipeline-parallel-size", options.pipeline);
  if (options.certificate_folder) {
    command.insert(command.end(),
                   {"--enable-ssl-refresh", "--ssl-certfile", *options.certificate_folder + "/tls.crt",
                    "--ssl-keyfile", *options.certificate_folder + "/tls.key"});
  }
  if (!options.version) {
    return command;
  }
  if (*options.version >= EngineVersion{0, 16, 0}) {
    command.insert(command.end(), {"--disable-access-log-for-endpoints", "/health,/metrics,/ping"});
  } else {
    command.emplace_back("--disable-uvicorn-access-log");
  }
  if (*options.version >= EngineVersion{0, 18, 0}) {
    add_flag(command, "--shutdown-timeout", options.shutdown_seconds);
  }
  return command;
}

std::vector<std::string> sglang_command(const LaunchOptions& options) {
  // SGLang serves one name only and listens on loopback by default.
  std::vector<std::string> command{"python3",
                                   "-m",
                                   "sglang.launch_server",
                                   "--model-path",
                                   options.model_path,
                                   "--served-model-name",
                                   options.served_names.empty() ? "model" : options.served_names.front(),
                                   "--host",
                                   "0.0.0.0"};
  add_flag(command, "--port", options.port);
  command.emplace_back("--enable-metrics");
  add_flag(command, "--tp-size", options.tensor);
  add_flag(command, "--pp-size", options.pipeline);
  return command;
}

std::vector<std::string> llama_command(const LaunchOptions& options) {
  const std::string file = options.model_file.empty() ? std::string() : "/" + options.model_file;
  std::vector<std::string> command{"llama-server", "--model", options.model_path + file, "--host", "0.0.0.0"};
  add_flag(command, "--port", options.port);
  command.emplace_back("--metrics");
  if (!options.served_names.empty()) {
    command.insert(command.end(), {"--alias", options.served_names.front()});
  }
  return command;
}

}  // namespace

Engine engine_of_image(std::string_view image) {
  const std::string path = to_lower(image_name(image).path);
  if (path.find("sglang") != std::string::npos) {
    return Engine::Sglang;
  }
  if (path.find("llama.cpp") != std::string::npos || path.find("llama-server") != std::string::npos) {
    return Engine::LlamaServer;
  }
  return base_name(path) == "llmd" ? Engine::Llmd : Engine::Vllm;
}

std::optional<EngineVersion> version_of_image(std::string_view image) {
  const ImageName name = image_name(image);
  if (!base_name(name.path).starts_with("vllm-")) {
    return std::nullopt;
  }
  std::string_view tag = name.tag.starts_with('v') ? name.tag.substr(1) : name.tag;
  tag = tag.substr(0, tag.find_first_not_of("0123456789."));
  const auto parts = split(tag, '.');
  if (parts.size() < 2) {
    return std::nullopt;
  }
  const auto number = [&](std::size_t i) {
    return i < parts.size() ? parse_integer(parts[i]) : std::optional<long long>(0);
  };
  if (!number(0) || !number(1) || !number(2)) {
    return std::nullopt;
  }
  return EngineVersion{static_cast<int>(*number(0)), static_cast<int>(*number(1)),
                       static_cast<int>(*number(2))};
}

std::vector<std::string> launch_command(Engine engine, const LaunchOptions& options) {
  switch (engine) {
    case Engine::Sglang:
      return sglang_command(options);
    case Engine::LlamaServer:
      return llama_command(options);
    case Engine::Llmd:
      return vllm_command("llmd", options);
    case Engine::Vllm:
      break;
  }
  return vllm_command("vllm", options);
}

}  // namespace llmd::llmisvc
