#include <algorithm>

#include "base/strings.h"
#include "llmisvc/check.h"
#include "llmisvc/compile.h"
#include "llmisvc/dialect.h"

namespace llmd::llmisvc {
namespace {

// YAML that does not parse says where in its message: "service.yaml:3:5: duplicate key".
Finding syntax_finding(const Error& error, std::string_view source_name) {
  Finding finding{
      .code = "syntax", .sentence = error.message, .fix = error.advice, .source = std::string(source_name)};
  std::string_view rest = error.message;
  if (!rest.starts_with(source_name)) {
    return finding;
  }
  rest.remove_prefix(std::min(rest.size(), source_name.size() + 1));
  const std::size_t first = rest.find(':');
  const std::size_t second = first == std::string_view::npos ? first : rest.find(": ", first + 1);
  if (second == std::string_view::npos) {
    return finding;
  }
  const auto line = parse_integer(rest.substr(0, first));
  const auto column = parse_integer(rest.substr(first + 1, second - first - 1));
  if (line && column) {
    finding.line = static_cast<std::size_t>(*line);
    finding.column = static_cast<std::size_t>(*column);
    finding.sentence = std::string(rest.substr(second + 2));
  }
  return finding;
}

// A path that does not exist in the document (it came from a config) is shown at its nearest parent.
void add_placed(Findings& all, Findings some, const json::YamlDocument& document) {
  place_findings(some, document);
  all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
}

}  // namespace

Findings check_manifest(std::string_view yaml, std::string_view source_name, const Facts& facts) {
  const auto manifest = parse_manifest(yaml, source_name);
  if (!manifest) {
    return {syntax_finding(manifest.error(), source_name)};
  }
  Findings findings;
  for (const json::YamlDocument& document : manifest->configs) {
    add_placed(findings, check_object(document.value.get_object()), document);
  }
  const Facts complete = with_configs(facts, *manifest);
  for (const json::YamlDocument& document : manifest->services) {
    add_placed(findings, compile(document.value.get_object(), complete).findings, document);
  }
  return findings;
}

}  // namespace llmd::llmisvc
