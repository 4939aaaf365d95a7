// Reads a values file and remembers which keys were read, so that the rest can be listed. Private to the
// values conversion.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "json/yaml.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

class ValuesReader {
 public:
  // Expressions such as {{ .Values.modelArtifacts.name }} are replaced in the copy that is read.
  ValuesReader(const json::YamlDocument& document, std::string_view release, std::string_view name_space);

  // The value at the path, which counts as read with all that is below it; null when absent or null.
  const json::Value* take(const std::string& path);
  // Scalars as text; empty when absent.
  std::string text(const std::string& path);
  std::optional<long long> integer(const std::string& path);
  std::optional<bool> flag(const std::string& path);
  // Looks without reading.
  const json::Value* look(const std::string& path) const;
  // Counts the path as read without using it, for what equals the default here.
  void done(const std::string& path) { taken_.insert(path); }

  // A finding "not-converted" at the path.
  void skipped(const std::string& path, std::string sentence, std::string fix = {},
               Severity severity = Severity::Warning);
  void note(const std::string& path, std::string sentence) {
    skipped(path, std::move(sentence), {}, Severity::Note);
  }

  // The same about a key that is used, or whose parts are.
  void remark(const std::string& path, std::string sentence);

  // Findings so far, and one for every key that was not read; in the file's order.
  Findings finish();

 private:
  void add_unread(const json::Value& value, const std::string& path, bool is_root);

  const json::YamlDocument& document_;
  json::Value root_;
  std::set<std::string> taken_;
  Findings findings_;
};

// As Helm prints a scalar.
std::string scalar_text(const json::Value& value);

}  // namespace llmd::llmisvc
