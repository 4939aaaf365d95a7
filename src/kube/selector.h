// Label and field selectors as they stand in queries and on command lines: "app=web,tier in (a,b),!canary",
// "metadata.name=x,status.phase!=Running".
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/object.h"

namespace llmd::kube {

class LabelSelector {
 public:
  // At most 64 KiB and 1000 requirements. The empty text matches everything.
  static Result<LabelSelector> parse(std::string_view text);
  bool matches(const Object& object) const;  // against metadata.labels
  bool matches_everything() const { return requirements_.empty(); }

 private:
  enum class Operator { In, NotIn, Exists, DoesNotExist };
  struct Requirement {
    std::string key;
    Operator operation;
    std::vector<std::string> values;
  };
  friend class LabelSelectorParser;
  std::vector<Requirement> requirements_;
};

class FieldSelector {
 public:
  struct Requirement {
    std::string field;  // metadata.name
    bool equal = true;
    std::string value;
  };
  static Result<FieldSelector> parse(std::string_view text);
  // An absent field counts as the empty text; booleans and numbers compare by their JSON text.
  bool matches(const Object& object) const;
  const std::vector<Requirement>& requirements() const { return requirements_; }

 private:
  std::vector<Requirement> requirements_;
};

// {"matchLabels": {...}, "matchExpressions": [...]} as selector text, keys sorted: "app=web,tier in (a,b)".
std::string selector_text(const Object& label_selector);
// A plain map of labels as selector text: "a=b,c=d", sorted.
std::string labels_text(const Object& labels);

}  // namespace llmd::kube
