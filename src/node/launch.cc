#include "node/launch.h"

#include <boost/json.hpp>

#include "llmisvc/engine_profile.h"

namespace llmd::node {
namespace {

std::vector<std::string> words_of(const kube::Object& container, std::string_view field,
                                  const Environment& environment, const std::vector<Mount>& mounts) {
  std::vector<std::string> words;
  if (const auto* list = kube::find_array(container, field)) {
    for (const auto& word : *list) {
      const auto text = word.is_string() ? std::string_view(word.as_string()) : std::string_view();
      words.push_back(to_host_path(expand_references(text, environment), mounts));
    }
  }
  return words;
}

// KServe's storage-initializer takes pairs of URI and folder; so does `llmd fetch`.
bool is_storage_initializer(std::string_view image) {
  return image.find("storage-initializer") != std::string_view::npos;
}

Launch fetch_launch(std::vector<std::string> arguments, const LaunchFacts& facts) {
  Launch launch{.arguments = {facts.llmd.string(), "fetch", "--cache", facts.model_cache.string()}};
  launch.arguments.insert(launch.arguments.end(), arguments.begin(), arguments.end());
  return launch;
}

Result<Launch> engine_launch(std::string_view image, const std::vector<std::string>& command,
                             const std::vector<std::string>& args, const LaunchFacts& facts) {
  LLMD_TRY(const auto engine, llmisvc::parse_engine_command(image, command, args));
  const bool is_ours = engine.profile->name == "llmd";
  Launch launch;
  if (const auto installed = is_ours ? std::nullopt : facts.find_program(engine.launch.front());
      installed && engine.profile->commands.front().front() == engine.launch.front()) {
    launch.arguments = engine.launch;
    const auto bound = llmisvc::bind_arguments(*engine.profile, engine.arguments, facts.address);
    launch.arguments.insert(launch.arguments.end(), bound.begin(), bound.end());
    launch.note = installed->string();
    return launch;
  }
  launch.arguments = {facts.llmd.string(), "serve"};
  const auto translated = llmisvc::serve_arguments(*engine.profile, engine.arguments);
  const auto bound = llmisvc::bind_arguments(*engine.profile, translated, facts.address);
  launch.arguments.insert(launch.arguments.end(), bound.begin(), bound.end());
  launch.note =
      is_ours ? "llmd serve" : fmt::format("llmd serve, because {} is not installed", engine.launch.front());
  return launch;
}

}  // namespace

Result<Launch> plan_launch(const kube::Object& container, const Environment& environment,
                           const std::vector<Mount>& mounts, const LaunchFacts& facts) {
  const auto image = kube::find_string(container, "image");
  const auto command = words_of(container, "command", environment, mounts);
  const auto args = words_of(container, "args", environment, mounts);
  const auto name = kube::find_string(container, "name");
  auto launch = is_storage_initializer(image) && command.empty() ? Result<Launch>(fetch_launch(args, facts))
                                                                 : engine_launch(image, command, args, facts);
  if (!launch) {
    return std::unexpected(std::move(launch).error().within(fmt::format("container '{}'", name)));
  }
  launch->environment = environment;
  for (auto& [key, value] : launch->environment) {
    value = to_host_path(value, mounts);
  }
  launch->working_directory = to_host_path(kube::find_string(container, "workingDir"), mounts);
  return launch;
}

}  // namespace llmd::node
