#include "cli/picker_findings.h"

#include <optional>

#include "base/strings.h"
#include "json/path.h"
#include "picker/config.h"

namespace llmd::cli {
namespace {

using llmisvc::Finding;
using llmisvc::Findings;
using llmisvc::Severity;

constexpr std::string_view kCode = "picker-config";

Findings findings_of(const picker::CheckReport& report, const std::string& file) {
  Findings findings;
  for (const std::string& error : report.errors) {
    findings.push_back(placed_finding(error, file, std::string(kCode), Severity::Error));
  }
  for (const std::string& warning : report.warnings) {
    findings.push_back(placed_finding(warning, file, std::string(kCode), Severity::Warning));
  }
  return findings;
}

picker::CheckReport check_text(std::string_view text, std::string_view name) {
  return picker::check_configuration(text, name, {.allow_experimental = true});
}

// Where the first character of a block text (`key: |`) stands, or nullopt for texts whose lines are not those
// of the file: quoted and folded ones, and what an anchor repeats.
std::optional<json::Position> begin_of_block(std::string_view file, json::Position key,
                                             std::string_view text) {
  const auto lines = split(file, '\n');
  std::optional<std::size_t> indent;
  std::size_t number = key.line;  // from 0: the line after the key's
  for (const std::string_view line : split(text, '\n')) {
    if (number >= lines.size()) {
      return trim(line).empty() ? std::optional(json::Position{key.line + 1, indent.value_or(0) + 1})
                                : std::nullopt;
    }
    std::string_view written = lines[number++];
    written.remove_suffix(written.ends_with('\r') ? 1 : 0);
    if (trim(line).empty()) {
      continue;
    }
    if (!written.ends_with(line) ||
        indent.value_or(written.size() - line.size()) != written.size() - line.size()) {
      return std::nullopt;
    }
    indent = written.size() - line.size();
  }
  return json::Position{key.line + 1, indent.value_or(0) + 1};
}

// Findings of a text by itself, moved to where it stands in a file: from `begin` on, or all at `otherwise`.
Findings findings_within(std::string_view text, const std::string& named, const std::string& file,
                         std::optional<json::Position> begin, json::Position otherwise) {
  Findings findings = findings_of(check_text(text, named), named);
  for (Finding& finding : findings) {
    const auto within = json::Position{finding.line, finding.column};
    finding.source = file;
    finding.sentence = fmt::format("{}:{}:{}: {}", named, within.line, within.column, finding.sentence);
    const bool known = begin && within.line > 0;
    finding.line = known ? begin->line + within.line - 1 : otherwise.line;
    finding.column = known ? begin->column + within.column - 1 : otherwise.column;
  }
  return findings;
}

}  // namespace

Finding placed_finding(std::string_view text, const std::string& file, std::string code, Severity severity) {
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

Findings picker_findings(std::string_view document, const std::string& file) {
  return findings_of(check_text(document, file), file);
}

Findings picker_findings(const json::YamlDocument& manifest, std::string_view path, const std::string& named,
                         std::string_view text_of_file) {
  const json::Value* config = json::find(manifest.value, path);
  if (config != nullptr && config->is_object()) {
    return findings_of(picker::check_configuration(manifest, path, {.allow_experimental = true}),
                       manifest.source_name);
  }
  const auto text = json::string_at(manifest.value, path);
  if (!text) {
    return {};
  }
  const json::Position key = manifest.position_of(path);
  return findings_within(*text, named, manifest.source_name, begin_of_block(text_of_file, key, *text), key);
}

Findings picker_findings_at(const json::YamlDocument& manifest, std::string_view place, std::string_view text,
                            const std::string& named) {
  return findings_within(text, named, manifest.source_name, {}, manifest.position_of(place));
}

}  // namespace llmd::cli
