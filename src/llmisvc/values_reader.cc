#include "llmisvc/values_reader.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr std::array<std::string_view, 21> kTopLevel{"common",
                                                     "enabled",
                                                     "fullnameOverride",
                                                     "nameOverride",
                                                     "serviceAccountOverride",
                                                     "schedulerName",
                                                     "multinode",
                                                     "routing",
                                                     "modelArtifacts",
                                                     "tracing",
                                                     "accelerator",
                                                     "requester",
                                                     "extraObjects",
                                                     "decode",
                                                     "prefill",
                                                     "provider",
                                                     "inferencePool",
                                                     "inferenceExtension",
                                                     "global",
                                                     "replicaCount",
                                                     "monitoring"};

// One {{ .Values.a.b }} or {{ .Release.Name }}; nullopt for everything a chart could do beyond that.
std::optional<std::string> evaluated(std::string_view expression, const json::Value& root,
                                     std::string_view release, std::string_view name_space) {
  expression = trim(expression);
  if (expression == ".Release.Name") {
    return std::string(release);
  }
  if (expression == ".Release.Namespace") {
    return std::string(name_space.empty() ? "default" : name_space);
  }
  constexpr std::string_view kValues = ".Values.";
  if (!expression.starts_with(kValues) || expression.find_first_of(" |(") != std::string_view::npos) {
    return std::nullopt;
  }
  const auto* value = json::find(root, expression.substr(kValues.size()));
  if (value == nullptr || value->is_structured() || value->is_null()) {
    return std::nullopt;
  }
  return scalar_text(*value);
}

void evaluate(json::Value& value, const json::Value& root, std::string_view release,
              std::string_view name_space) {
  if (auto* object = value.if_object()) {
    for (auto& entry : *object) {
      evaluate(entry.value(), root, release, name_space);
    }
  } else if (auto* list = value.if_array()) {
    for (json::Value& item : *list) {
      evaluate(item, root, release, name_space);
    }
  } else if (value.is_string() && text_view(value).find("{{") != std::string_view::npos) {
    const std::string text(text_view(value));
    std::string result;
    std::size_t begin = 0;
    for (std::size_t open = text.find("{{"); open != std::string::npos; open = text.find("{{", begin)) {
      const std::size_t close = text.find("}}", open);
      if (close == std::string::npos) {
        break;
      }
      const auto inner =
          evaluated(std::string_view(text).substr(open + 2, close - open - 2), root, release, name_space);
      result += text.substr(begin, open - begin) + inner.value_or(text.substr(open, close + 2 - open));
      begin = close + 2;
    }
    value = text_value(result + text.substr(begin));
  }
}

}  // namespace

std::string scalar_text(const json::Value& value) {
  return value.is_string() ? std::string(text_view(value))
         : value.is_null() ? std::string()
                           : json::write(value);
}

ValuesReader::ValuesReader(const json::YamlDocument& document, std::string_view release,
                           std::string_view name_space)
    : document_(document), root_(document.value) {
  evaluate(root_, document.value, release, name_space);
}

const json::Value* ValuesReader::look(const std::string& path) const {
  const auto* value = json::find(root_, path);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

const json::Value* ValuesReader::take(const std::string& path) {
  taken_.insert(path);
  return look(path);
}

std::string ValuesReader::text(const std::string& path) {
  const auto* value = take(path);
  return value != nullptr && !value->is_structured() ? scalar_text(*value) : std::string();
}

std::optional<long long> ValuesReader::integer(const std::string& path) {
  const auto* value = take(path);
  if (value == nullptr) {
    return std::nullopt;
  }
  const auto whole = json::as_integer(*value);
  const auto number = whole ? std::optional<long long>(*whole) : parse_integer(text_view(*value));
  if (!number) {
    findings_.push_back({.code = "wrong-type",
                         .path = path,
                         .sentence = fmt::format("expected an integer, got {}", json::kind_name(*value))});
  }
  return number;
}

std::optional<bool> ValuesReader::flag(const std::string& path) {
  const auto* value = take(path);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_bool()) {
    return value->get_bool();
  }
  findings_.push_back({.code = "wrong-type",
                       .path = path,
                       .sentence = fmt::format("expected true or false, got {}", json::kind_name(*value))});
  return std::nullopt;
}

void ValuesReader::skipped(const std::string& path, std::string sentence, std::string fix,
                           Severity severity) {
  taken_.insert(path);
  findings_.push_back({.code = "not-converted",
                       .severity = severity,
                       .path = path,
                       .sentence = std::move(sentence),
                       .fix = std::move(fix)});
}

void ValuesReader::remark(const std::string& path, std::string sentence) {
  findings_.push_back(
      {.code = "not-converted", .severity = Severity::Note, .path = path, .sentence = std::move(sentence)});
}

void ValuesReader::add_unread(const json::Value& value, const std::string& path, bool is_root) {
  if (taken_.contains(path)) {
    return;
  }
  const auto* object = value.if_object();
  const bool has_read_parts = is_root ||
                              (taken_.lower_bound(path + ".") != taken_.end() &&
                               taken_.lower_bound(path + ".")->starts_with(path + ".")) ||
                              (taken_.lower_bound(path + "[") != taken_.end() &&
                               taken_.lower_bound(path + "[")->starts_with(path + "["));
  if (object != nullptr && has_read_parts) {
    for (const auto& entry : *object) {
      add_unread(entry.value(), json::path_member(path, key_view(entry)), false);
    }
    return;
  }
  if (const auto* list = value.if_array(); list != nullptr && has_read_parts) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      add_unread((*list)[i], json::path_index(path, i), false);
    }
    return;
  }
  const bool is_strange =
      path.find('.') == std::string::npos && std::ranges::find(kTopLevel, path) == kTopLevel.end();
  const std::string near = is_strange ? did_you_mean(path, kTopLevel) : std::string();
  findings_.push_back({.code = "not-converted",
                       .severity = Severity::Warning,
                       .path = path,
                       .sentence = near.empty() ? "has no counterpart in a LLMInferenceService"
                                                : "unknown key of the chart, which it would have ignored",
                       .fix = near});
}

Findings ValuesReader::finish() {
  add_unread(root_, "", true);
  place_findings(findings_, document_);
  std::ranges::sort(findings_, {},
                    [](const Finding& one) { return std::tuple(one.line, one.column, one.path); });
  return std::move(findings_);
}

}  // namespace llmd::llmisvc
