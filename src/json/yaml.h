// YAML in and out, read exactly as kubectl reads it (sigs.k8s.io/yaml, that is YAML 1.1 scalars): unquoted
// yes/no/on/off/ y/n are booleans, 0644 is the integer 420, 1_000 is 1000, ~ is null, dates stay strings.
// Anchors, aliases and merge keys (<<) work; a key twice in one mapping, tags we do not know and non-scalar
// keys are errors.
//
// Errors are InvalidArgument with the place in front: "service.yaml:12:5: duplicate key \"name\"".
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace llmd::json {

// Both count from 1.
struct Position {
  std::size_t line = 1;
  std::size_t column = 1;
  bool operator==(const Position&) const = default;
};

struct YamlLimits {
  std::size_t max_bytes = std::size_t{16} << 20;
  std::size_t max_depth = 64;
  std::size_t max_nodes = 1'000'000;  // after aliases are expanded, over all documents
};

struct YamlDocument {
  Value value;
  std::string source_name;
  std::map<std::string, Position, std::less<>>
      positions;  // of every path; members stand where their key stands

  // Where the path is written, or its longest prefix that is: for "spec.replicas" in a document without it,
  // spec.
  Position position_of(std::string_view path) const;
  // "service.yaml:12:5", for messages about a mistake at the path.
  std::string place_of(std::string_view path) const;
};

// The documents of a file in order; empty ones (only comments, or nothing between two ---) are left out.
Result<std::vector<YamlDocument>> parse_yaml(std::string_view text, std::string_view source_name,
                                             const YamlLimits& limits = {});

// One document in kubectl's style: two spaces, lists not indented, members in their order, long texts as |.
// Reading the text back gives the same value; strings that would be read as something else are quoted.
std::string write_yaml(const Value& value);

}  // namespace llmd::json
