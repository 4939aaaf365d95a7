#include "llmisvc/finding.h"

#include <algorithm>

#include "json/yaml.h"

namespace llmd::llmisvc {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::Error:
      return "error";
    case Severity::Warning:
      return "warning";
    case Severity::Note:
      break;
  }
  return "note";
}

bool has_errors(const Findings& findings) {
  return std::ranges::any_of(findings, [](const Finding& f) { return f.severity == Severity::Error; });
}

void place_findings(Findings& findings, const json::YamlDocument& document) {
  for (Finding& finding : findings) {
    if (finding.line == 0) {
      const json::Position position = document.position_of(finding.path);
      finding.source = document.source_name;
      finding.line = position.line;
      finding.column = position.column;
    }
  }
}

namespace {

std::string place_and_sentence(const Finding& finding) {
  std::string text;
  if (!finding.source.empty()) {
    text += finding.source + ":";
  }
  if (finding.line > 0) {
    text += fmt::format("{}:{}:", finding.line, finding.column);
  }
  if (!text.empty()) {
    text += ' ';
  }
  return text;
}

std::string path_and_sentence(const Finding& finding) {
  return finding.path.empty() ? finding.sentence : finding.path + ": " + finding.sentence;
}

}  // namespace

std::string render_finding(const Finding& finding) {
  std::string text = fmt::format("{}{}: {} [{}]", place_and_sentence(finding), to_string(finding.severity),
                                 path_and_sentence(finding), finding.code);
  if (!finding.fix.empty()) {
    text += fmt::format("\n  fix: {}", finding.fix);
  }
  return text;
}

Error error_of(const Findings& findings) {
  const auto is_error = [](const Finding& f) { return f.severity == Severity::Error; };
  const auto first = std::ranges::find_if(findings, is_error);
  if (first == findings.end()) {
    return internal_error("no error among the findings");
  }
  const auto count = std::ranges::count_if(findings, is_error);
  std::string message = place_and_sentence(*first) + path_and_sentence(*first);
  if (count > 1) {
    message += fmt::format(", and {} more", count - 1);
  }
  return invalid_argument("{}", message).hint(first->fix);
}

}  // namespace llmd::llmisvc
