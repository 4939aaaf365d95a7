// Engine profiles: what has to be known about a model server to run it from a manifest. One table row per
// engine; a program that no row knows cannot be bound to a pod's address on one machine and is refused there.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::llmisvc {

// An option of this engine and what `llmd serve` calls it; an empty `ours` is the positional model argument.
struct OptionName {
  std::string_view theirs;
  std::string_view ours;
};

struct EngineProfile {
  std::string_view name;           // "vllm", "sglang", "llama-server", "llmd"
  std::string_view image_pattern;  // an image whose repository contains this has `command` as its entry point
  // How a command line of this engine begins, the image's own entry point first.
  std::vector<std::vector<std::string_view>> commands;
  std::string_view host_option;  // binds it to one address
  std::string_view port_option;
  int default_port;
  std::string_view health_path;
  std::vector<OptionName> option_names;  // for standing in with `llmd serve`; vLLM's options are ours
};

std::span<const EngineProfile> engine_profiles();

// A command line taken apart: which engine, and its arguments after the launch words.
struct EngineCommand {
  const EngineProfile* profile;
  std::vector<std::string> launch;     // "vllm", "serve"
  std::vector<std::string> arguments;  // the rest
};

// `command` and `args` as in a container (an empty command: the image's entry point). Unimplemented when no
// profile knows the program, with the known ones as advice.
Result<EngineCommand> parse_engine_command(std::string_view image, std::span<const std::string> command,
                                           std::span<const std::string> args);

// The arguments with the engine bound to `address`; an address the user gave is replaced, the port is kept.
std::vector<std::string> bind_arguments(const EngineProfile& profile, std::span<const std::string> arguments,
                                        std::string_view address);

// The arguments as `llmd serve` spells them.
std::vector<std::string> serve_arguments(const EngineProfile& profile,
                                         std::span<const std::string> arguments);

}  // namespace llmd::llmisvc
