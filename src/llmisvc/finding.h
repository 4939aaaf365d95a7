// What is wrong (or doubtful) in a manifest: one sentence with its place and what to do about it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace llmd::json {
struct YamlDocument;
}

namespace llmd::llmisvc {

enum class Severity { Error, Warning, Note };
std::string_view to_string(Severity severity);

struct Finding {
  std::string code = {};  // stable, for tools: "unknown-field"
  Severity severity = Severity::Error;
  std::string path = {};      // spec.replicas; empty for the whole document
  std::string sentence = {};  // without a full stop
  std::string fix = {};       // what to do; empty when nobody knows
  std::string source = {};    // file; empty when the object did not come from one
  std::size_t line = 0;       // 0: unknown
  std::size_t column = 0;

  bool operator==(const Finding&) const = default;
};
using Findings = std::vector<Finding>;

bool has_errors(const Findings& findings);

// Sets source, line and column of the findings that have none.
void place_findings(Findings& findings, const json::YamlDocument& document);

// As compilers print, without a newline at the end: "service.yaml:7:3: error: spec.replicsa: unknown field
// [unknown-field]" and, on a second line, "  fix: ...".
std::string render_finding(const Finding& finding);
// The first error as an Error (InvalidArgument, hint = fix), "and N more" appended.
Error error_of(const Findings& findings);

}  // namespace llmd::llmisvc
