#include "llmisvc/expand.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/kv_cache.h"
#include "llmisvc/schema.h"
#include "text/go_template.h"

namespace llmd::llmisvc {
namespace {

constexpr char kMark = '\x01';  // not a character that YAML or the API server lets through unescaped
constexpr int kMaxPasses = 8;   // a template may refer to a value that is a template itself

std::string_view view(const json::Value& text) {
  return {text.get_string().data(), text.get_string().size()};
}
json::Value text_value(std::string_view text) {
  return json::Value(json::String(text.data(), text.size()));
}

// Calls visit(string value, path) for every string below `value`.
template <typename Visit>
void for_each_string(json::Value& value, const std::string& path, const Visit& visit) {
  if (value.is_string()) {
    visit(value, path);
  } else if (auto* list = value.if_array()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      for_each_string((*list)[i], json::path_index(path, i), visit);
    }
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) {
      for_each_string(member.value(), json::path_member(path, {member.key().data(), member.key().size()}),
                      visit);
    }
  }
}

std::size_t marked_index(std::string_view text) {
  return static_cast<std::size_t>(parse_integer(text.substr(1)).value_or(0));
}

Result<json::Value> child_name_function(std::span<const json::Value> arguments) {
  if (arguments.size() != 2 || !arguments[0].is_string() || !arguments[1].is_string()) {
    return invalid_argument("ChildName takes a parent and a suffix");
  }
  return text_value(child_name(view(arguments[0]), view(arguments[1])));
}

// What is left of the grace period after the preStop hook and a margin, for the server's own draining.
Result<json::Value> shutdown_timeout(std::span<const json::Value> arguments) {
  if (arguments.size() != 2) {
    return invalid_argument("shutdownTimeout takes a pod template and the seconds of its preStop hook");
  }
  const auto pre_stop = json::as_integer(arguments[1]);
  if (!pre_stop) {
    return invalid_argument("shutdownTimeout: the second argument must be an integer");
  }
  const std::int64_t grace = json::int_at(arguments[0], "terminationGracePeriodSeconds").value_or(60);
  return json::Value(std::max<std::int64_t>(0, grace - *pre_stop - std::min<std::int64_t>(5, grace)));
}

Result<json::Value> kv_transfer_function(std::span<const json::Value> arguments) {
  if (arguments.size() != 1) {
    return invalid_argument("kvTransferConfig takes the kvCacheOffloading of a workload");
  }
  if (arguments[0].is_null()) {
    return text_value("");
  }
  if (!arguments[0].is_object()) {
    return invalid_argument("kvTransferConfig takes the kvCacheOffloading of a workload");
  }
  return text_value("--kv-transfer-config " + kv_transfer_config(arguments[0].get_object()));
}

// Field paths as templates write them (".Spec.Model") against the schema, for fields that are known but not
// set.
bool is_known(std::string_view path, std::string_view name) {
  const std::string full = std::string(path) + "." + std::string(name);
  if (full.size() > 6 && equals_ignoring_case(full.substr(0, 6), ".spec.")) {
    return find_schema(service_spec_schema(), std::string_view(full).substr(6)) != nullptr;
  }
  static constexpr std::array<std::string_view, 6> kTop{".Labels",    ".Annotations", ".Status",
                                                        ".Namespace", ".Name",        ".Spec"};
  return std::ranges::find(kTop, full) != kTop.end();
}

// Go embeds TypeMeta and ObjectMeta: .Name is metadata.name, .ObjectMeta is metadata. The data has both (see
// data_of).
std::string_view alias(std::string_view path, std::string_view name) {
  return path.empty() && name == "ObjectMeta" ? "metadata" : "";
}

json::Value data_of(const json::Object& object, const Facts& facts) {
  json::Object data = object;
  if (const auto* metadata = object.if_contains("metadata")) {
    for (const auto& member : metadata->get_object()) {
      data[member.key()] = member.value();
    }
  }
  const json::Value whole(object);  // the views below point into it
  const std::string name(json::string_at(whole, "metadata.name").value_or(""));
  const std::string name_space(json::string_at(whole, "metadata.namespace").value_or("default"));
  const auto pool = json::string_at(whole, "spec.router.scheduler.pool.ref.name");
  data["namespace"] = name_space;
  data["GlobalConfig"] = {
      {"SystemNamespace", facts.system_namespace},
      {"IngressGatewayName", facts.gateway_name},
      {"IngressGatewayNamespace", facts.gateway_namespace},
      {"EnableTLS", facts.tls},
      {"ModelBasedRoutingHeaderName", facts.model_header},
      {"InferencePoolNamespacedName",
       name_space + "/" + (pool ? std::string(*pool) : child_name(name, "-inference-pool"))}};
  return json::Value(std::move(data));
}

class Expander {
 public:
  Expander(const std::vector<TemplateOrigin>& origins, const Facts& facts)
      : origins_(origins), facts_(facts) {
    environment_.functions["ChildName"] = child_name_function;
    environment_.functions["shutdownTimeout"] = shutdown_timeout;
    environment_.functions["kvTransferConfig"] = kv_transfer_function;
    environment_.is_known_field = is_known;
    environment_.alias = alias;
  }

  Findings run(json::Object& object) {
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      const json::Value data = data_of(object, facts_);
      bool changed = false;
      waiting_ = nullptr;
      json::Value spec = std::move(object["spec"]);
      for_each_string(spec, "spec",
                      [&](json::Value& value, const std::string&) { changed |= one(value, data); });
      object["spec"] = std::move(spec);
      if (!findings_.empty() || waiting_ == nullptr) {
        return std::move(findings_);
      }
      if (!changed) {
        break;
      }
    }
    report(*waiting_, invalid_argument("refers to a value that refers back to it"));
    return std::move(findings_);
  }

 private:
  // True when the value was expanded; false when it has to wait for another one, or failed.
  bool one(json::Value& value, const json::Value& data) {
    const std::string_view text = view(value);
    if (!text.starts_with(kMark)) {
      return false;
    }
    const TemplateOrigin& origin = origins_.at(marked_index(text));
    const auto parsed = text::GoTemplate::parse(origin.text);
    auto result =
        parsed ? parsed->execute(data, environment_) : Result<std::string>(std::unexpected(parsed.error()));
    if (!result) {
      report(origin, result.error());
      return false;
    }
    if (result->find(kMark) != std::string::npos) {
      waiting_ = &origin;
      return false;
    }
    value = text_value(*result);
    return true;
  }

  void report(const TemplateOrigin& origin, const Error& error) {
    findings_.push_back({.code = "template",
                         .severity = Severity::Error,
                         .path = origin.path,
                         .sentence = fmt::format("in config {}: {}", origin.config, error.message),
                         .fix = error.advice});
  }

  const std::vector<TemplateOrigin>& origins_;
  const Facts& facts_;
  text::GoEnvironment environment_;
  Findings findings_;
  const TemplateOrigin* waiting_ = nullptr;
};

}  // namespace

json::Object mark_templates(json::Object spec, const std::string& config,
                            std::vector<TemplateOrigin>& origins) {
  json::Value value(std::move(spec));
  for_each_string(value, "spec", [&](json::Value& text, const std::string& path) {
    if (view(text).find("{{") == std::string_view::npos) {
      return;
    }
    origins.push_back({.config = config, .path = path, .text = std::string(view(text))});
    text = text_value(fmt::format("{}{}", kMark, origins.size() - 1));
  });
  return std::move(value.get_object());
}

Findings expand(json::Object& object, const std::vector<TemplateOrigin>& origins, const Facts& facts) {
  if (origins.empty()) {
    return {};
  }
  return Expander(origins, facts).run(object);
}

void strip_markers(json::Value& value) {
  for_each_string(value, "", [](json::Value& text, const std::string&) {
    if (view(text).find(kMark) != std::string_view::npos) {
      std::string clean(view(text));
      std::erase(clean, kMark);
      text = text_value(clean);
    }
  });
}

}  // namespace llmd::llmisvc
