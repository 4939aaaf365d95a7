#include "llmisvc/dialect.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/schema.h"

namespace llmd::llmisvc {
namespace {

struct ServerType {
  std::string_view name;
  std::string_view image;
  std::vector<std::string_view> command;  // when the service gives none and names its model by a flag
};
const std::array<ServerType, 4>& server_types() {
  static const std::array<ServerType, 4> kTypes{{
      {"vllm", "vllm/vllm-openai:v0.12.0", {"python3", "-m", "vllm.entrypoints.openai.api_server"}},
      {"sglang", "lmsysorg/sglang:v0.5.6.post2-runtime", {"python3", "-m", "sglang.launch_server"}},
      {"llama-server", "ghcr.io/ggml-org/llama.cpp:server", {"llama-server"}},
      {"llmd", "ghcr.io/llm-d/llmd:latest", {"llmd", "serve"}},
  }};
  return kTypes;
}

std::vector<std::string_view> type_names() {
  std::vector<std::string_view> names;
  for (const ServerType& type : server_types()) {
    names.push_back(type.name);
  }
  return names;
}

const ServerType& type_named(std::string_view name) {
  for (const ServerType& type : server_types()) {
    if (type.name == name) {
      return type;
    }
  }
  return server_types().front();
}

std::vector<std::string> texts_at(const json::Value& root, std::string_view path) {
  std::vector<std::string> result;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    result.emplace_back(text_view(item));
  }
  return result;
}

// The value of one of `flags` in a command line: "--flag value" or "--flag=value".
std::optional<std::string> flag_value(const std::vector<std::string>& line,
                                      std::initializer_list<std::string_view> flags) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    for (const std::string_view flag : flags) {
      if (line[i] == flag && i + 1 < line.size()) {
        return line[i + 1];
      }
      if (line[i].starts_with(flag) && line[i].size() > flag.size() && line[i][flag.size()] == '=') {
        return line[i].substr(flag.size() + 1);
      }
    }
  }
  return std::nullopt;
}

std::optional<long long> count_value(const std::vector<std::string>& line,
                                     std::initializer_list<std::string_view> flags) {
  const auto text = flag_value(line, flags);
  const auto number = text ? parse_integer(*text) : std::nullopt;
  return number && *number > 0 ? number : std::nullopt;
}

std::optional<std::string> model_of(const std::vector<std::string>& line) {
  if (auto value = flag_value(line, {"--model", "--model-path"})) {
    return value;
  }
  // -m means a module in front of Python's programs.
  if (!line.empty() && line.front().ends_with("llama-server")) {
    return flag_value(line, {"-m"});
  }
  for (std::size_t i = 0; i + 1 < line.size(); ++i) {
    if (line[i] == "serve" && !line[i + 1].starts_with('-')) {
      return line[i + 1];
    }
  }
  return std::nullopt;
}

// spec.model, unless the service has one of its own.
void add_model(json::Object& spec, const std::vector<std::string>& line, Findings& findings) {
  json::Object& model = object_member(spec, "model");
  const auto named = model_of(line);
  if (!named && !model.contains("uri")) {
    findings.push_back({.code = "missing-field",
                        .path = "spec.inferenceServer.args",
                        .sentence = "no argument names the model",
                        .fix = "add --model and the model's name"});
    return;
  }
  if (!model.contains("uri")) {
    const bool has_scheme = named->find("://") != std::string::npos;
    model["uri"] = text_value(has_scheme ? *named : (named->starts_with('/') ? "file://" : "hf://") + *named);
  }
  if (!model.contains("name")) {
    const auto served = flag_value(line, {"--served-model-name", "--alias", "-a"});
    if (served || named) {
      model["name"] = text_value(served ? *served : *named);
    }
  }
}

void add_parallelism(json::Object& spec, const std::vector<std::string>& line) {
  if (spec.contains("parallelism")) {
    return;
  }
  json::Object parallelism;
  if (const auto tensor = count_value(line, {"--tensor-parallel-size", "-tp", "--tp-size", "--tp"})) {
    parallelism["tensor"] = *tensor;
  }
  if (const auto pipeline = count_value(line, {"--pipeline-parallel-size", "-pp", "--pp-size"});
      pipeline && *pipeline > 1) {
    parallelism["pipeline"] = *pipeline;
  } else if (const auto data = count_value(line, {"--data-parallel-size", "-dp", "--dp-size"});
             data && *data > 1) {
    parallelism["data"] = *data;
    parallelism["dataLocal"] = *data;
  }
  if (!parallelism.empty()) {
    spec["parallelism"] = std::move(parallelism);
  }
}

json::Object server_container(const json::Object& server, const ServerType& type,
                              const std::vector<std::string>& line) {
  json::Object main{{"name", "main"}};
  for (const auto& entry : server) {
    if (entry.key() != "type" && entry.key() != "name") {
      main[entry.key()] = entry.value();
    }
  }
  if (!main.contains("image")) {
    main["image"] = text_value(type.image);
  }
  if (!main.contains("command")) {
    json::Array command;
    const bool positional = type.name == "vllm" && !line.empty() && !line.front().starts_with('-');
    if (positional) {
      command = {"vllm", "serve"};
    } else {
      for (const std::string_view word : type.command) {
        command.push_back(text_value(word));
      }
    }
    main["command"] = std::move(command);
  }
  if (const auto port = count_value(line, {"--port"}); port && !main.contains("ports")) {
    main["ports"] = json::Array{json::Object{{"containerPort", *port}, {"protocol", "TCP"}}};
  }
  return main;
}

// Fields of inferenceServer: `type`, and those of a container.
void check_server(const json::Object& server, Findings& findings) {
  const auto* container = find_schema(service_spec_schema(), "template.containers");
  const auto* items = container != nullptr ? json::object_at(*container, "items.properties") : nullptr;
  std::vector<std::string_view> known{"type"};
  if (items != nullptr) {
    for (const auto& field : *items) {
      known.push_back(key_view(field));  // lives as long as the schema, which is static
    }
  }
  for (const auto& entry : server) {
    const std::string_view name = key_view(entry);
    if (std::ranges::find(known, name) == known.end()) {
      findings.push_back({.code = "unknown-field",
                          .path = json::path_member("spec.inferenceServer", name),
                          .sentence = "unknown field",
                          .fix = did_you_mean(name, known)});
    }
  }
  const auto* type = server.if_contains("type");
  const std::string_view name = type != nullptr ? text_view(*type) : "vllm";
  const auto types = type_names();
  if (std::ranges::find(types, name) == types.end()) {
    findings.push_back({.code = "bad-value",
                        .path = "spec.inferenceServer.type",
                        .sentence = fmt::format("'{}' is not one of vllm, sglang, llama-server, llmd", name),
                        .fix = did_you_mean(name, types)});
  }
}

// The server's container beside what the service says about its pod.
void add_container(json::Object& spec, json::Object main) {
  json::Object& pod = object_member(spec, "template");
  json::Value& list = pod["containers"];
  if (!list.is_array()) {
    list = json::Array();
  }
  list.get_array().insert(list.get_array().begin(), json::Value(std::move(main)));
}

json::Object translated(const json::Object& object, Findings& findings) {
  const json::Value root(object);
  const json::Object& server = *json::object_at(root, "spec.inferenceServer");
  check_server(server, findings);
  const ServerType& type = type_named(json::string_at(root, "spec.inferenceServer.type").value_or("vllm"));
  std::vector<std::string> line = texts_at(root, "spec.inferenceServer.command");
  const auto args = texts_at(root, "spec.inferenceServer.args");
  line.insert(line.end(), args.begin(), args.end());

  json::Object spec = *json::object_at(root, "spec");
  spec.stable_erase("inferenceServer");
  add_model(spec, line, findings);
  add_parallelism(spec, line);
  member(object_member(spec, "labels"), "llm-d.ai/engine-type") = text_value(type.name);
  add_container(spec, server_container(server, type, line));
  if (!spec.contains("storageInitializer")) {
    // The server downloads its model itself: the arguments already name it.
    spec["storageInitializer"] = json::Object{{"enabled", false}};
  }
  json::Object result = object;
  result["apiVersion"] = "serving.kserve.io/v1alpha1";
  result["spec"] = std::move(spec);
  return result;
}

}  // namespace

Kind kind_of(const json::Object& object) {
  const json::Value value(object);
  const auto kind = json::string_at(value, "kind").value_or("");
  const auto version = json::string_at(value, "apiVersion").value_or("");
  const bool ours =
      version.starts_with("serving.kserve.io/") || version.starts_with("llm-d.ai/") || version.empty();
  if (ours && kind == "LLMInferenceService") {
    return Kind::Service;
  }
  return ours && kind == "LLMInferenceServiceConfig" ? Kind::Config : Kind::Other;
}

bool is_server_dialect(const json::Object& object) {
  const json::Value value(object);
  return kind_of(object) == Kind::Service && json::object_at(value, "spec.inferenceServer") != nullptr;
}

json::Object to_kserve(const json::Object& object, Findings& findings) {
  return is_server_dialect(object) ? translated(object, findings) : restore_kept_fields(object);
}

void use_server_paths(Findings& findings) {
  constexpr std::string_view kContainer = "spec.template.containers[0]";
  for (Finding& finding : findings) {
    if (finding.path.starts_with(kContainer)) {
      finding.path = "spec.inferenceServer" + finding.path.substr(kContainer.size());
    } else if (finding.path.starts_with("spec.model") || finding.path.starts_with("spec.parallelism")) {
      finding.path = "spec.inferenceServer.args";
    } else if (finding.path == "spec.template") {
      finding.path = "spec.inferenceServer";
    }
  }
}

}  // namespace llmd::llmisvc
