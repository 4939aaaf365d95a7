// What InferenceObjective and InferenceModelRewrite objects say about requests: their priority, and the model
// that an engine is asked for instead of the one that the client named. Pure; objects come from Kubernetes or
// from a file.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace llmd::extproc {

// By the objective's name.
using Priorities = std::map<std::string, int, std::less<>>;

struct ModelRewrite {
  struct Target {
    std::string model;
    double weight = 1;
  };
  struct Rule {
    std::vector<std::string> models;  // exact names; empty: every model
    std::vector<Target> targets;
  };
  std::string name;
  std::string created;  // RFC 3339; older ones come first
  std::vector<Rule> rules;
};

// The rewrites of one pool. A rule that names the model beats one for every model; then the oldest object
// decides (by name where the age is the same), then the order of its rules.
class ModelRewrites {
 public:
  ModelRewrites() = default;
  explicit ModelRewrites(std::vector<ModelRewrite> rewrites);

  struct Match {
    std::string_view rewrite;
    std::string_view target;
  };
  // `draw` from 0 to 1 (exclusive) chooses a target by weight; all weights zero: each alike. Views live as
  // long as this object.
  std::optional<Match> find(std::string_view model, double draw) const;
  // Whether a rule names the model.
  bool has(std::string_view model) const { return exact_.contains(model); }
  // All names that rules name.
  std::vector<std::string> names() const;
  // And all that they may become.
  std::vector<std::string> targets() const;
  bool empty() const { return exact_.empty() && !generic_; }

 private:
  struct Place {
    std::size_t rewrite;
    std::size_t rule;
  };
  std::vector<ModelRewrite> rewrites_;  // oldest first
  std::map<std::string, Place, std::less<>> exact_;
  std::optional<Place> generic_;
};

struct Rules {
  Priorities priorities;
  ModelRewrites rewrites;
};

// One object of either kind, as its text says.
struct RuleObject {
  std::string name;
  std::string pool;  // of poolRef; empty: every pool
  std::optional<int> priority;
  std::optional<ModelRewrite> rewrite;
};
// InvalidArgument for another kind, and for what has no sense, with the path.
Result<RuleObject> read_rule_object(const json::Object& object);
// The documents of a YAML file; errors carry file and line.
Result<std::vector<RuleObject>> parse_rule_objects(std::string_view text, std::string_view source_name);

std::shared_ptr<const Rules> rules_of(const std::vector<RuleObject>& objects, std::string_view pool);

}  // namespace llmd::extproc
