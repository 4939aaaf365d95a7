// The engine container of a values file.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/launch.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/values_parts.h"

namespace llmd::llmisvc {
namespace {

constexpr std::array<std::string_view, 12> kPassedOn{
    "imagePullPolicy", "resources",    "volumeMounts", "securityContext", "livenessProbe",
    "readinessProbe",  "startupProbe", "workingDir",   "stdin",           "tty",
    "envFrom",         "lifecycle"};

std::vector<std::string> texts_of(const json::Value* list) {
  std::vector<std::string> result;
  if (list != nullptr && list->is_array()) {
    for (const json::Value& item : list->get_array()) {
      result.push_back(scalar_text(item));
    }
  }
  return result;
}

// Takes "--flag value" or "--flag=value" out of the line, every time it occurs; the last value wins.
template <std::size_t N>
std::optional<std::string> take_flag(std::vector<std::string>& line,
                                     const std::array<std::string_view, N>& flags) {
  std::optional<std::string> value;
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const std::string& word = line[i];
    const auto name = std::string_view(word).substr(0, word.find('='));
    if (std::ranges::find(flags, name) == flags.end()) {
      rest.push_back(word);
    } else if (name.size() < word.size()) {
      value = word.substr(name.size() + 1);
    } else if (i + 1 < line.size()) {
      value = line[++i];
    }
  }
  line = std::move(rest);
  return value;
}

long long engine_port(const ValuesContext& context, const std::string& role) {
  return role == "decode" && context.has_prefill ? 8001 : 8000;
}

// The model as the chart's generated arguments name it.
std::string model_token(const ValuesContext& context) {
  const std::string rest = context.uri.substr(std::min(context.uri.size(), context.uri.find("://") + 3));
  if (context.uri.starts_with("hf://")) {
    return rest;
  }
  const auto parts = split(rest, '/');
  if (context.uri.starts_with("pvc+hf://") && parts.size() >= 2) {
    return fmt::format("{}/{}", parts[parts.size() - 2], parts.back());
  }
  return context.mount_path + "/" + rest.substr(std::min(rest.size(), rest.find('/') + 1));
}

// Settings that a service has fields for are taken out of the arguments.
void lift_arguments(std::vector<std::string>& args, json::Object& parallelism, std::string& served_name) {
  static constexpr std::array<std::string_view, 1> kName{"--served-model-name"};
  static constexpr std::array<std::string_view, 2> kTensor{"--tensor-parallel-size", "-tp"};
  static constexpr std::array<std::string_view, 1> kPort{"--port"};
  if (const auto name = take_flag(args, kName)) {
    served_name = *name;
  }
  if (const auto tensor = take_flag(args, kTensor); tensor && parse_integer(*tensor)) {
    parallelism["tensor"] = *parse_integer(*tensor);
  }
  (void)take_flag(args, kPort);  // the preset's: what clients see is 8000 here as there
}

void add_data_arguments(json::Array& args, const json::Object& parallelism, bool multinode) {
  const json::Value value(parallelism);
  const auto data = json::int_at(value, "data");
  if (multinode || !data || *data < 2) {
    return;
  }
  for (const auto& [flag, key] :
       {std::pair{"--data-parallel-size", "data"}, {"--data-parallel-size-local", "dataLocal"}}) {
    args.push_back(text_value(flag));
    args.push_back(text_value(fmt::format("{}", json::int_at(value, key).value_or(1))));
  }
}

bool is_simulator(std::string_view image) {
  return image.find("llm-d-inference-sim") != std::string_view::npos;
}

// Chart's command, written out: for files that start their engines themselves and for the simulator, whose
// program no preset knows.
void write_command(json::Object& container, const ValuesContext& context, const std::string& role,
                   bool simulator, const std::string& served_name, const json::Object& parallelism,
                   json::Array args) {
  json::Array line;
  if (simulator) {
    container["command"] = json::Array{"/app/llm-d-inference-sim"};
    line = {"--model", text_value(model_token(context))};
  } else {
    container["command"] = json::Array{"vllm", "serve"};
    line.push_back(text_value(model_token(context)));
  }
  const auto add = [&](std::string_view flag, std::string_view value) {
    line.push_back(text_value(flag));
    line.push_back(text_value(value));
  };
  add("--port", fmt::format("{}", engine_port(context, role)));
  if (const auto tensor = json::int_at(json::Value(parallelism), "tensor"); tensor && *tensor > 1) {
    add("--tensor-parallel-size", fmt::format("{}", *tensor));
  }
  add("--served-model-name", served_name);
  for (json::Value& argument : args) {
    line.push_back(std::move(argument));
  }
  container["args"] = std::move(line);
}

void add_variables(json::Object& container, const ValuesContext& context, const json::Object& parallelism,
                   bool mounts_model) {
  const json::Value value(parallelism);
  if (context.own_launch) {
    const auto number = [&](std::string_view key) {
      return fmt::format("{}", json::int_at(value, key).value_or(1));
    };
    add_env(container, "DP_SIZE", number("data"));
    add_env(container, "TP_SIZE", number("tensor"));
    add_env(container, "DP_SIZE_LOCAL", number("dataLocal"));
    if (mounts_model && context.uri.starts_with("hf://")) {
      add_env(container, "HF_HOME", context.mount_path);
    } else if (context.uri.starts_with("pvc+hf://")) {
      const auto parts = split(std::string_view(context.uri).substr(9), '/');
      std::string middle;
      for (std::size_t i = 1; i + 2 < parts.size(); ++i) {
        middle += "/" + std::string(parts[i]);
      }
      add_env(container, "HF_HUB_CACHE", context.mount_path + middle);
    }
  }
  if (!context.secret.empty()) {
    add_keyed(container, "env", "name",
              {{"name", "HF_TOKEN"},
               {"valueFrom", {{"secretKeyRef", {{"name", context.secret}, {"key", "HF_TOKEN"}}}}}});
  }
}

// Probes and ports speak of the port that the chart gave the engine; here it is the preset's.
void move_ports(json::Object& container, const ValuesContext& context, const std::string& role) {
  const long long chart_port =
      role == "decode" && context.has_proxy ? context.target_port : context.service_port;
  std::vector<std::string> names;
  if (auto* ports = container.if_contains("ports"); ports != nullptr && ports->is_array()) {
    json::Array kept;
    for (const json::Value& port : ports->get_array()) {
      const auto number = json::int_at(port, "containerPort").value_or(0);
      if (number == chart_port || number == context.service_port || number == context.target_port) {
        names.emplace_back(json::string_at(port, "name").value_or(""));
      } else {
        kept.push_back(port);
      }
    }
    kept.empty() ? void(container.stable_erase("ports")) : void(container["ports"] = std::move(kept));
  }
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    json::Object* check = find_object(container, probe);
    json::Object* request = check != nullptr ? find_object(*check, "httpGet") : nullptr;
    auto* port = request != nullptr ? request->if_contains("port") : nullptr;
    if (port == nullptr) {
      continue;
    }
    const bool by_name = port->is_string() && std::ranges::find(names, text_view(*port)) != names.end();
    const auto number = json::as_integer(*port);
    if (by_name || (number && (*number == chart_port || *number == context.service_port ||
                               *number == context.target_port))) {
      *port = engine_port(context, role);
    }
  }
}

// GPUs of another maker than the one that is filled in when nothing is stated, and the variables its engine
// needs.
void add_accelerators(ValuesReader& values, json::Object& container, const std::string& type,
                      const json::Object& parallelism) {
  const auto* variables = values.take("accelerator.env." + type);
  for (const json::Value& one :
       variables != nullptr && variables->is_array() ? variables->get_array() : json::Array()) {
    if (one.is_object()) {
      add_keyed(container, "env", "name", one.get_object());
    }
  }
  const std::string key = values.text("accelerator.resources." + type);
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kDefaults{{
      {"amd", "amd.com/gpu"},
      {"intel-i915", "gpu.intel.com/i915"},
      {"intel-xe", "gpu.intel.com/xe"},
      {"intel-gaudi", "habana.ai/gaudi"},
      {"google", "google.com/tpu"},
      {"rebellions-atom", "rebellions.ai/ATOM"},
  }};
  const auto* known =
      std::ranges::find(kDefaults, type, &std::pair<std::string_view, std::string_view>::first);
  std::string resource = key;
  if (resource.empty() && known != kDefaults.end()) {
    resource = std::string(known->second);
  }
  if (resource.empty() || resource == "nvidia.com/gpu" || type == "cpu") {
    return;
  }
  const json::Value value(parallelism);
  const long long count =
      json::int_at(value, "tensor").value_or(1) * json::int_at(value, "dataLocal").value_or(1);
  json::Object& resources = object_member(container, "resources");
  for (const char* which : {"limits", "requests"}) {
    json::Value& amount = member(object_member(resources, which), resource);
    if (amount.is_null()) {
      amount = text_value(fmt::format("{}", count));
    }
  }
}

}  // namespace

json::Object convert_engine(ValuesReader& values, const ValuesContext& context, const std::string& role,
                            json::Object& parallelism, std::string& served_name) {
  const std::string base = role + ".containers[0]";
  json::Object container{{"name", "main"}};
  values.done(base + ".name");
  const std::string image = values.text(base + ".image");
  if (!image.empty()) {
    container["image"] = text_value(image);
  }
  for (const std::string_view key : {std::string_view("env"), std::string_view("ports")}) {
    if (const auto* value = values.take(base + "." + std::string(key));
        value != nullptr && value->is_array()) {
      member(container, key) = *value;
    }
  }
  for (const std::string_view key : kPassedOn) {
    if (const auto* value = values.take(base + "." + std::string(key))) {
      member(container, key) = *value;
    }
  }
  const std::string mode = values.text(base + ".modelCommand");
  auto args = texts_of(values.take(base + ".args"));
  const auto* command = values.take(base + ".command");
  const bool mounts = values.flag(base + ".mountModelVolume").value_or(false);
  if (mode == "vllmServe" || mode == "imageDefault") {
    lift_arguments(args, parallelism, served_name);
    json::Array line;
    add_data_arguments(line, parallelism, context.multinode);
    for (const std::string& argument : args) {
      line.push_back(text_value(argument));
    }
    if (context.own_launch || is_simulator(image)) {
      write_command(container, context, role, is_simulator(image), served_name, parallelism, std::move(line));
    } else if (!line.empty()) {
      container["args"] = std::move(line);
    }
  } else {
    if (!mode.empty() && mode != "custom") {
      values.skipped(base + ".modelCommand",
                     fmt::format("'{}' is not one of vllmServe, imageDefault, custom", mode));
    }
    if (command != nullptr) {
      container["command"] = *command;
    }
    if (!args.empty()) {
      container["args"] = text_list(args);
    }
  }
  add_variables(container, context, parallelism, mounts);
  if (context.own_launch && mounts) {
    add_mount(container, "model-storage", context.mount_path, !context.uri.starts_with("hf://"));
  }
  if (!is_simulator(image)) {
    const std::string own = values.text(role + ".accelerator.type");
    add_accelerators(values, container, own.empty() ? context.accelerator : own, parallelism);
  }
  move_ports(container, context, role);
  if (const auto* extra = values.take(base + ".extraConfig"); extra != nullptr && extra->is_object()) {
    merge_extra(container, extra->get_object(), base + ".extraConfig", values);
  }
  return container;
}

}  // namespace llmd::llmisvc
