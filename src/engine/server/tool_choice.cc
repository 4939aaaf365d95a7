#include "engine/server/tool_choice.h"

#include "json/path.h"

namespace llmd::engine {
namespace {

// The function of a tool that check_tools() has seen.
const json::Object& function_of(const json::Value& tool) {
  return tool.as_object().at("function").as_object();
}

std::string name_of(const json::Value& tool) {
  const json::String& name = function_of(tool).at("name").as_string();
  return {name.data(), name.size()};
}

json::Value parameters_of(const json::Value& tool) {
  const json::Value* const parameters = function_of(tool).if_contains("parameters");
  return parameters == nullptr || parameters->is_null() ? json::Value(json::Object{{"type", "object"}})
                                                        : *parameters;
}

Api<> check_tools(const json::Value& tools) {
  if (tools.is_null()) {
    return {};
  }
  if (!tools.is_array() || tools.get_array().empty()) {
    return bad_request("tools: must be a list with at least one tool", "tools");
  }
  for (const json::Value& tool : tools.get_array()) {
    if (!json::string_at(tool, "function.name")) {
      return bad_request("tools: every tool needs a function with a name", "tools");
    }
  }
  return {};
}

Api<ToolForm> automatic(const ServedModel& model, std::string_view param) {
  if (!model.auto_tool_choice) {
    return bad_request(
        "tool_choice: \"auto\", the default with tools, needs a server with --enable-auto-tool-choice and "
        "--tool-call-parser; send \"none\"",
        param);
  }
  return ToolForm{ToolForm::Mode::Hermes, ""};
}

Api<ToolForm> named(const json::Value& choice, const json::Array& tools) {
  const auto name = json::string_at(choice, "function.name");
  if (!name) {
    return bad_request("tool_choice: must be none, auto, required or {type, function{name}}", "tool_choice");
  }
  for (const json::Value& tool : tools) {
    if (name_of(tool) == *name) {
      return ToolForm{ToolForm::Mode::Named, std::string(*name)};
    }
  }
  return bad_request(fmt::format("tool_choice: '{}' is not among the tools", *name), "tool_choice");
}

}  // namespace

Api<ToolForm> tool_form(const ChatRequest& request, const ServedModel& model) {
  if (auto checked = check_tools(request.tools); !checked) {
    return std::unexpected(checked.error());
  }
  const json::Value& choice = request.tool_choice;
  const auto* const word = choice.if_string();
  if (word != nullptr && *word == "none") {
    return ToolForm{};
  }
  if (request.tools.is_null()) {
    return choice.is_null() ? Api<ToolForm>(ToolForm{})
                            : bad_request("tool_choice: needs tools", "tool_choice");
  }
  if (choice.is_null() || (word != nullptr && *word == "auto")) {
    return automatic(model, choice.is_null() ? "tools" : "tool_choice");
  }
  auto form = word != nullptr && *word == "required" ? Api<ToolForm>(ToolForm{ToolForm::Mode::Required, ""})
                                                     : named(choice, request.tools.get_array());
  if (form && model.vocabulary == nullptr) {
    return not_implemented("tool_choice: a simulated model cannot be forced to call a tool", "tool_choice");
  }
  return form;
}

json::Value tool_schema(const ToolForm& form, const ChatRequest& request) {
  if (form.mode != ToolForm::Mode::Named && form.mode != ToolForm::Mode::Required) {
    return {};
  }
  json::Array calls;
  for (const json::Value& tool : request.tools.get_array()) {
    if (form.mode == ToolForm::Mode::Required) {
      const json::Object properties{{"name", json::Object{{"const", name_of(tool)}}},
                                    {"parameters", parameters_of(tool)}};
      calls.push_back(json::Object{{"type", "object"},
                                   {"properties", properties},
                                   {"required", json::Array({"name", "parameters"})},
                                   {"additionalProperties", false}});
    } else if (name_of(tool) == form.name) {
      return parameters_of(tool);
    }
  }
  json::Object list{{"type", "array"}, {"minItems", 1}, {"items", json::Object{{"anyOf", std::move(calls)}}}};
  if (!request.parallel_tool_calls.value_or(true)) {
    list["maxItems"] = 1;
  }
  return json::Value(std::move(list));
}

}  // namespace llmd::engine
