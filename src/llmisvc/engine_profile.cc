#include "llmisvc/engine_profile.h"

#include <algorithm>

namespace llmd::llmisvc {
namespace {

const std::vector<EngineProfile>& profiles() {
  static const std::vector<EngineProfile> kProfiles{
      {.name = "vllm",
       .image_pattern = "vllm",
       .commands = {{"vllm", "serve"},
                    {"python3", "-m", "vllm.entrypoints.openai.api_server"},
                    {"python", "-m", "vllm.entrypoints.openai.api_server"}},
       .host_option = "--host",
       .port_option = "--port",
       .default_port = 8000,
       .health_path = "/health",
       .option_names = {{"--model", ""}}},
      {.name = "sglang",
       .image_pattern = "sglang",
       .commands = {{"python3", "-m", "sglang.launch_server"},
                    {"python", "-m", "sglang.launch_server"},
                    {"sglang", "serve"}},
       .host_option = "--host",
       .port_option = "--port",
       .default_port = 30000,
       .health_path = "/health",
       .option_names = {{"--model-path", ""},
                        {"--model", ""},
                        {"--context-length", "--max-model-len"},
                        {"--max-running-requests", "--max-num-seqs"},
                        {"--chunked-prefill-size", "--max-num-batched-tokens"},
                        {"--tp-size", "--tensor-parallel-size"},
                        {"--tp", "--tensor-parallel-size"},
                        {"--random-seed", "--seed"}}},
      {.name = "llama-server",
       .image_pattern = "llama.cpp",
       .commands = {{"llama-server"}, {"/app/llama-server"}},
       .host_option = "--host",
       .port_option = "--port",
       .default_port = 8080,
       .health_path = "/health",
       .option_names = {{"--model", ""},
                        {"-m", ""},
                        {"--alias", "--served-model-name"},
                        {"-a", "--served-model-name"},
                        {"--ctx-size", "--max-model-len"},
                        {"-c", "--max-model-len"},
                        {"--parallel", "--max-num-seqs"},
                        {"-np", "--max-num-seqs"}}},
      {.name = "llmd",
       .image_pattern = "llmd",
       .commands = {{"llmd", "serve"}},
       .host_option = "--host",
       .port_option = "--port",
       .default_port = 8000,
       .health_path = "/health",
       .option_names = {}},
  };
  return kProfiles;
}

bool begins_with(std::span<const std::string> line, const std::vector<std::string_view>& words) {
  return line.size() >= words.size() && std::equal(words.begin(), words.end(), line.begin());
}

// "registry/vllm/vllm-openai:v1" without tag and digest, so that a tag never decides the engine.
std::string_view repository_of(std::string_view image) {
  image = image.substr(0, image.find('@'));
  const auto colon = image.rfind(':');
  return colon == std::string_view::npos || image.find('/', colon) != std::string_view::npos
             ? image
             : image.substr(0, colon);
}

Error unknown_program(std::string_view image, std::span<const std::string> line) {
  std::string known;
  for (const EngineProfile& profile : profiles()) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", profile.name);
  }
  const auto what =
      line.empty() ? fmt::format("image '{}'", image) : fmt::format("program '{}'", line.front());
  return unimplemented("{} has no engine profile: nothing is known about how to bind it to the pod's address",
                       what)
      .hint("engines with a profile: " + known);
}

}  // namespace

std::span<const EngineProfile> engine_profiles() {
  return profiles();
}

Result<EngineCommand> parse_engine_command(std::string_view image, std::span<const std::string> command,
                                           std::span<const std::string> args) {
  std::vector<std::string> line(command.begin(), command.end());
  line.insert(line.end(), args.begin(), args.end());
  for (const EngineProfile& profile : profiles()) {
    if (command.empty() && repository_of(image).find(profile.image_pattern) != std::string_view::npos) {
      const auto& entry = profile.commands.front();
      return EngineCommand{&profile, {entry.begin(), entry.end()}, {args.begin(), args.end()}};
    }
    for (const auto& words : profile.commands) {
      if (!command.empty() && begins_with(line, words)) {
        const auto split = line.begin() + static_cast<std::ptrdiff_t>(words.size());
        return EngineCommand{&profile, {line.begin(), split}, {split, line.end()}};
      }
    }
  }
  return unknown_program(image, command);
}

std::vector<std::string> bind_arguments(const EngineProfile& profile, std::span<const std::string> arguments,
                                        std::string_view address) {
  std::vector<std::string> bound;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == profile.host_option) {
      ++i;  // and its value
    } else if (!arguments[i].starts_with(std::string(profile.host_option) + "=")) {
      bound.push_back(arguments[i]);
    }
  }
  bound.emplace_back(profile.host_option);
  bound.emplace_back(address);
  return bound;
}

std::vector<std::string> serve_arguments(const EngineProfile& profile,
                                         std::span<const std::string> arguments) {
  std::vector<std::string> ours;
  for (const std::string& argument : arguments) {
    const auto name = std::string_view(argument).substr(0, argument.find('='));
    const auto known = std::ranges::find(profile.option_names, name, &OptionName::theirs);
    if (known == profile.option_names.end()) {
      ours.push_back(argument);
      continue;
    }
    const std::string_view value =
        std::string_view(argument).substr(std::min(argument.size(), name.size() + 1));
    if (!known->ours.empty()) {
      ours.emplace_back(known->ours);
    }
    if (!value.empty()) {
      ours.emplace_back(value);
    }
  }
  return ours;
}

}  // namespace llmd::llmisvc
