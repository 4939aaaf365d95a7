#include "llmisvc/dialect.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"

namespace llmd::llmisvc {
namespace {

constexpr std::array<std::string_view, 2> kEngines{"vllm", "sglang"};
constexpr std::array<std::string_view, 4> kServerFields{"type", "image", "command", "args"};

std::vector<std::string> texts_at(const json::Value& root, std::string_view path) {
  std::vector<std::string> result;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    result.emplace_back(item.is_string() ? std::string_view(item.get_string()) : std::string_view());
  }
  return result;
}

// The value of one of `flags` in a command line: "--flag value" or "--flag=value".
std::optional<std::string> flag_value(const std::vector<std::string>& line,
                                      std::span<const std::string_view> flags) {
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

std::optional<std::string> model_of(const std::vector<std::string>& line) {
  static constexpr std::array<std::string_view, 2> kFlags{"--model", "--model-path"};
  if (auto value = flag_value(line, kFlags)) {
    return value;
  }
  for (std::size_t i = 0; i + 1 < line.size(); ++i) {
    if (line[i] == "serve" && !line[i + 1].starts_with('-')) {
      return line[i + 1];
    }
  }
  return std::nullopt;
}

json::Object model_object(const std::vector<std::string>& line, Findings& findings) {
  const auto model = model_of(line);
  if (!model) {
    findings.push_back({.code = "missing-field",
                        .path = "spec.inferenceServer.args",
                        .sentence = "no argument names the model",
                        .fix = "add --model and the model's name"});
    return {};
  }
  const bool is_path = model->starts_with('/');
  json::Object object{{"uri", text_value(is_path ? "file://" + *model : "hf://" + *model)}};
  static constexpr std::array<std::string_view, 1> kName{"--served-model-name"};
  object["name"] = text_value(flag_value(line, kName).value_or(*model));
  return object;
}

void check_server(const json::Value& root, Findings& findings) {
  const auto* server = json::object_at(root, "spec.inferenceServer");
  for (const auto& member : *server) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::ranges::find(kServerFields, name) == kServerFields.end()) {
      findings.push_back({.code = "unknown-field",
                          .path = fmt::format("spec.inferenceServer.{}", name),
                          .sentence = "unknown field",
                          .fix = did_you_mean(name, kServerFields)});
    }
  }
  const std::string_view type = json::string_at(root, "spec.inferenceServer.type").value_or("vllm");
  if (std::ranges::find(kEngines, type) == kEngines.end()) {
    findings.push_back({.code = "bad-value",
                        .path = "spec.inferenceServer.type",
                        .sentence = fmt::format("'{}' is not one of vllm, sglang", type),
                        .fix = did_you_mean(type, kEngines)});
  }
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
  if (!is_server_dialect(object)) {
    return object;
  }
  const json::Value root(object);
  check_server(root, findings);
  const std::string_view type = json::string_at(root, "spec.inferenceServer.type").value_or("vllm");
  std::vector<std::string> line = texts_at(root, "spec.inferenceServer.command");
  for (std::string& argument : texts_at(root, "spec.inferenceServer.args")) {
    line.push_back(std::move(argument));
  }
  json::Object main{{"name", "main"}};
  for (const char* key : {"image", "command", "args"}) {
    if (const auto* value = json::find(root, std::string("spec.inferenceServer.") + key)) {
      main[key] = *value;
    }
  }
  if (!main.contains("image")) {
    main["image"] = type == "sglang" ? "lmsysorg/sglang:v0.5.6.post2-runtime" : "vllm/vllm-openai:v0.12.0";
  }
  json::Object spec = *json::object_at(root, "spec");
  spec.erase("inferenceServer");
  spec["model"] = model_object(line, findings);
  static constexpr std::array<std::string_view, 3> kTensor{"--tensor-parallel-size", "--tp-size", "--tp"};
  if (const auto tensor = flag_value(line, kTensor); tensor && parse_integer(*tensor)) {
    spec["parallelism"] = json::Object{{"tensor", *parse_integer(*tensor)}};
  }
  spec["labels"] = json::Object{{"llm-d.ai/engine-type", text_value(type)}};
  spec["template"] = json::Object{{"containers", json::Array{std::move(main)}}};
  // The server downloads its model itself: the arguments already name it.
  spec["storageInitializer"] = json::Object{{"enabled", false}};
  json::Object result = object;
  result["apiVersion"] = "serving.kserve.io/v1alpha1";
  result["spec"] = std::move(spec);
  return result;
}

}  // namespace llmd::llmisvc
