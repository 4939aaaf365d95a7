#include "cli/check_settings.h"

#include "base/strings.h"
#include "gateway/configuration.h"
#include "json/path.h"
#include "json/yaml.h"
#include "picker/config.h"

namespace llmd::cli {
namespace {

using llmisvc::Finding;
using llmisvc::Severity;

// The documents of a file, each behind as many empty lines as stand before it: places stay as they are.
std::vector<std::string> documents_in_place(std::string_view text) {
  std::vector<std::string> documents(1);
  std::size_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    ++lines;
    if (line == "---" || line.starts_with("---\n") || line.starts_with("--- ") || line.starts_with("---\r")) {
      documents.emplace_back(lines, '\n');
    } else {
      documents.back() += line;
    }
  }
  return documents;
}

// "FILE:LINE:COLUMN: SENTENCE" of an error's text, as a finding.
Finding placed(std::string_view text, const std::string& file, std::string code, Severity severity) {
  Finding finding{.code = std::move(code), .severity = severity, .source = file};
  if (text.starts_with(file + ":")) {
    text.remove_prefix(file.size() + 1);
    for (std::size_t* number : {&finding.line, &finding.column}) {
      const std::size_t colon = text.find(':');
      const auto value = parse_integer(text.substr(0, colon));
      if (colon == std::string_view::npos || !value || *value < 0) {
        break;
      }
      *number = static_cast<std::size_t>(*value);
      text.remove_prefix(colon + 1);
    }
  }
  finding.sentence = trim(text);
  return finding;
}

void add_report(const picker::CheckReport& report, const std::string& file, llmisvc::Findings& findings) {
  for (const std::string& error : report.errors) {
    findings.push_back(placed(error, file, "picker-config", Severity::Error));
  }
  for (const std::string& warning : report.warnings) {
    findings.push_back(placed(warning, file, "picker-config", Severity::Warning));
  }
}

// What a service gives its picker: an object, or a text in which places are counted anew.
void check_inline(const json::YamlDocument& document, llmisvc::Findings& findings) {
  constexpr std::string_view kInline = "spec.router.scheduler.config.inline";
  const picker::LoadOptions options{.allow_experimental = true};
  const json::Value* config = json::find(document.value, kInline);
  if (config == nullptr) {
    return;
  }
  if (config->is_object()) {
    add_report(picker::check_configuration(document, kInline, options), document.source_name, findings);
  } else if (const auto text = json::string_at(document.value, kInline)) {
    const std::string where = fmt::format("{}: {}", document.place_of(kInline), kInline);
    add_report(picker::check_configuration(*text, where, options), document.source_name, findings);
  }
}

void check_document(const std::string& text, const std::string& file, llmisvc::Findings& findings) {
  const auto parsed = json::parse_yaml(text, file);
  if (!parsed || parsed->size() != 1) {
    return;  // said by those who read it as a manifest
  }
  const std::string kind(json::string_at(parsed->front().value, "kind").value_or(""));
  if (kind == "EndpointPickerConfig") {
    add_report(picker::check_configuration(text, file, {.allow_experimental = true}), file, findings);
  } else if (kind == "LLMInferenceService" || kind == "LLMInferenceServiceConfig") {
    check_inline(parsed->front(), findings);
  } else if (kind == "GatewayConfiguration") {
    if (const auto read = gateway::parse_gateway_configuration(text, file); !read) {
      findings.push_back(placed(read.error().text(), file, "gateway-config", Severity::Error));
    }
  }
}

}  // namespace

llmisvc::Findings check_settings(const std::vector<TextFile>& files) {
  llmisvc::Findings findings;
  for (const TextFile& file : files) {
    for (const std::string& document : documents_in_place(file.text)) {
      check_document(document, file.name, findings);
    }
  }
  return findings;
}

}  // namespace llmd::cli
