#include "extproc/rules.h"

#include <algorithm>

#include "json/path.h"
#include "json/yaml.h"

namespace llmd::extproc {
namespace {

constexpr double kMostWeight = 1'000'000;

Result<ModelRewrite::Target> read_target(const json::Value& entry) {
  ModelRewrite::Target target;
  target.model = json::string_at(entry, "modelRewrite").value_or("");
  target.weight = json::double_at(entry, "weight").value_or(1);
  if (target.model.empty()) {
    return invalid_argument("modelRewrite: is missing");
  }
  if (target.weight < 0 || target.weight > kMostWeight) {
    return invalid_argument("weight: must be from 0 to 1000000");
  }
  return target;
}

Result<ModelRewrite::Rule> read_rule(const json::Value& entry) {
  ModelRewrite::Rule rule;
  const json::Array* matches = json::array_at(entry, "matches");
  for (std::size_t i = 0; matches != nullptr && i < matches->size(); ++i) {
    const json::Value& match = (*matches)[i];
    const auto model = json::string_at(match, "model.value");
    if (!model || model->empty() || json::string_at(match, "model.type").value_or("Exact") != "Exact") {
      return invalid_argument("matches[{}].model: needs a value, and the type Exact", i);
    }
    rule.models.emplace_back(*model);
  }
  const json::Array* targets = json::array_at(entry, "targets");
  for (std::size_t i = 0; targets != nullptr && i < targets->size(); ++i) {
    auto target = read_target((*targets)[i]);
    if (!target) {
      return std::unexpected(std::move(target).error().within(json::path_index("targets", i)));
    }
    rule.targets.push_back(std::move(*target));
  }
  if (rule.targets.empty()) {
    return invalid_argument("targets: is missing");
  }
  return rule;
}

Result<ModelRewrite> read_rewrite(const json::Value& object, std::string name) {
  ModelRewrite rewrite{
      .name = std::move(name),
      .created = std::string(json::string_at(object, "metadata.creationTimestamp").value_or("")),
      .rules = {}};
  const json::Array* rules = json::array_at(object, "spec.rules");
  for (std::size_t i = 0; rules != nullptr && i < rules->size(); ++i) {
    auto rule = read_rule((*rules)[i]);
    if (!rule) {
      return std::unexpected(std::move(rule).error().within(json::path_index("spec.rules", i)));
    }
    rewrite.rules.push_back(std::move(*rule));
  }
  return rewrite;
}

bool is_known_group(std::string_view version) {
  return version == "llm-d.ai/v1alpha2" || version == "inference.networking.x-k8s.io/v1alpha2";
}

}  // namespace

ModelRewrites::ModelRewrites(std::vector<ModelRewrite> rewrites) : rewrites_(std::move(rewrites)) {
  std::ranges::sort(rewrites_, [](const ModelRewrite& a, const ModelRewrite& b) {
    return std::tie(a.created, a.name) < std::tie(b.created, b.name);
  });
  for (std::size_t i = 0; i < rewrites_.size(); ++i) {
    for (std::size_t r = 0; r < rewrites_[i].rules.size(); ++r) {
      const ModelRewrite::Rule& rule = rewrites_[i].rules[r];
      for (const std::string& model : rule.models) {
        exact_.try_emplace(model, Place{i, r});
      }
      if (rule.models.empty() && !generic_) {
        generic_ = Place{i, r};
      }
    }
  }
}

std::vector<std::string> ModelRewrites::targets() const {
  std::vector<std::string> all;
  for (const ModelRewrite& rewrite : rewrites_) {
    for (const ModelRewrite::Rule& rule : rewrite.rules) {
      for (const ModelRewrite::Target& target : rule.targets) {
        all.push_back(target.model);
      }
    }
  }
  return all;
}

std::vector<std::string> ModelRewrites::names() const {
  std::vector<std::string> all;
  for (const auto& [name, place] : exact_) {
    all.push_back(name);
  }
  return all;
}

std::optional<ModelRewrites::Match> ModelRewrites::find(std::string_view model, double draw) const {
  const auto exact = exact_.find(model);
  if (exact == exact_.end() && !generic_) {
    return std::nullopt;
  }
  const Place place = exact != exact_.end() ? exact->second : *generic_;
  const ModelRewrite& rewrite = rewrites_[place.rewrite];
  const auto& targets = rewrite.rules[place.rule].targets;
  double total = 0;
  for (const ModelRewrite::Target& target : targets) {
    total += target.weight;
  }
  double left = draw * (total > 0 ? total : static_cast<double>(targets.size()));
  for (const ModelRewrite::Target& target : targets) {
    left -= total > 0 ? target.weight : 1;
    if (left < 0) {
      return Match{rewrite.name, target.model};
    }
  }
  return Match{rewrite.name, targets.back().model};
}

Result<RuleObject> read_rule_object(const json::Object& object) {
  const json::Value value(object);
  const std::string_view kind = json::string_at(value, "kind").value_or("");
  RuleObject read;
  read.name = json::string_at(value, "metadata.name").value_or("");
  read.pool = json::string_at(value, "spec.poolRef.name").value_or("");
  if (!is_known_group(json::string_at(value, "apiVersion").value_or(""))) {
    return invalid_argument("apiVersion: expected llm-d.ai/v1alpha2");
  }
  if (read.name.empty()) {
    return invalid_argument("metadata.name: is missing");
  }
  if (kind == "InferenceObjective") {
    read.priority = static_cast<int>(json::int_at(value, "spec.priority").value_or(0));
  } else if (kind == "InferenceModelRewrite") {
    LLMD_TRY(read.rewrite, read_rewrite(value, read.name));
  } else {
    return invalid_argument("kind: expected InferenceObjective or InferenceModelRewrite, got '{}'", kind);
  }
  return read;
}

Result<std::vector<RuleObject>> parse_rule_objects(std::string_view text, std::string_view source_name) {
  LLMD_TRY(const auto documents, json::parse_yaml(text, source_name));
  std::vector<RuleObject> objects;
  for (const json::YamlDocument& document : documents) {
    if (!document.value.is_object()) {
      return invalid_argument("{}: expected objects", document.place_of(""));
    }
    auto object = read_rule_object(document.value.get_object());
    if (!object) {
      return std::unexpected(std::move(object).error().within(document.place_of("")));
    }
    objects.push_back(std::move(*object));
  }
  return objects;
}

std::shared_ptr<const Rules> rules_of(const std::vector<RuleObject>& objects, std::string_view pool) {
  auto rules = std::make_shared<Rules>();
  std::vector<ModelRewrite> rewrites;
  for (const RuleObject& object : objects) {
    if (!object.pool.empty() && object.pool != pool) {
      continue;
    }
    if (object.priority) {
      rules->priorities[object.name] = *object.priority;
    }
    if (object.rewrite) {
      rewrites.push_back(*object.rewrite);
    }
  }
  rules->rewrites = ModelRewrites(std::move(rewrites));
  return rules;
}

}  // namespace llmd::extproc
