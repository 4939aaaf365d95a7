#include <algorithm>
#include <map>
#include <tuple>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/check.h"
#include "llmisvc/check_routes.h"
#include "llmisvc/convert_values.h"
#include "llmisvc/dialect.h"
#include "llmisvc/object_edit.h"

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

std::string text_at(const json::Value& value, std::string_view path, std::string_view otherwise = "") {
  return std::string(json::string_at(value, path).value_or(otherwise));
}

// Several files as one set.
class Checker {
 public:
  Checker(const Facts& facts, const MemoryQuestion& question) : facts_(facts), question_(question) {}

  Findings run(std::span<const ManifestText> files) {
    std::vector<Manifest> manifests;
    for (const ManifestText& file : files) {
      names_.emplace_back(file.name);
      auto manifest = parse_manifest(file.text, file.name);
      if (!manifest) {
        findings_.push_back(syntax_finding(manifest.error(), file.name));
        continue;
      }
      facts_ = with_configs(std::move(facts_), *manifest);
      manifests.push_back(std::move(*manifest));
    }
    for (const Manifest& manifest : manifests) {
      for (const json::YamlDocument& document : manifest.configs) {
        configs_["in config " + key_of(document.value) + ":"] = &document;
      }
    }
    for (const Manifest& manifest : manifests) {
      std::ranges::for_each(manifest.configs, [&](const auto& document) { config(document); });
      std::ranges::for_each(manifest.services, [&](const auto& document) { service(document); });
      std::ranges::for_each(manifest.others, [&](const auto& document) { other(document); });
    }
    return without_repetitions();
  }

 private:
  static std::string key_of(const json::Value& object) {
    return text_at(object, "metadata.namespace", "default") + "/" + text_at(object, "metadata.name");
  }

  // What was found in a config's template stands in the config; a path that does not exist in its document
  // (it came from a preset) is shown at its nearest parent.
  void place(Findings some, const json::YamlDocument& document) {
    for (Finding& finding : some) {
      const json::YamlDocument* where = &document;
      for (const auto& [prefix, config] : configs_) {
        if (finding.code == "template" && finding.sentence.starts_with(prefix)) {
          where = config;
        }
      }
      Findings one{std::move(finding)};
      place_findings(one, *where);
      findings_.push_back(std::move(one.front()));
    }
  }

  void once(const json::YamlDocument& document) {
    const std::string name = text_at(document.value, "metadata.name");
    const std::string key = fmt::format("{} {}", text_at(document.value, "kind"), key_of(document.value));
    const auto [found, is_new] = seen_.emplace(key, document.place_of("metadata.name"));
    if (!is_new && !name.empty()) {
      place({{.code = "duplicate-object",
              .path = "metadata.name",
              .sentence = fmt::format("{} is already described at {}", key, found->second),
              .fix = "rename or remove one of them"}},
            document);
    }
  }

  void config(const json::YamlDocument& document) {
    once(document);
    Findings findings = check_object(document.value.get_object());
    const bool is_sound = !has_errors(findings);
    place(std::move(findings), document);
    if (is_sound) {
      place(check_templates(document.value.get_object(), facts_), document);
    }
  }

  void service(const json::YamlDocument& document) {
    once(document);
    compiled(compile_here(document.value.get_object()), document, "spec.router.route");
  }

  // A scheduler's ConfigMap that is not among the files may be in the cluster: everything else is checked as
  // if it were there.
  Compiled compile_here(const json::Object& object) const {
    Compiled result = compile(object, facts_);
    const auto absent = std::ranges::find(result.findings, "config-map-not-found", &Finding::code);
    if (absent == result.findings.end()) {
      return result;
    }
    Finding note = std::move(*absent);
    const json::Value spec(result.service.spec);
    const std::string name = text_at(spec, "router.scheduler.config.ref.name");
    const std::string key = text_at(spec, "router.scheduler.config.ref.key");
    note.severity = Severity::Note;
    note.sentence = fmt::format("ConfigMap '{}' of namespace '{}' is not among the files: it is not checked",
                                name, result.service.name_space);
    note.fix = "give its file, too";
    Facts assumed = facts_;
    assumed.config_maps[result.service.name_space + "/" + name].emplace(key.empty() ? "epp" : key,
                                                                        "plugins: []");
    result = compile(object, assumed);
    result.findings.push_back(std::move(note));
    return result;
  }

  void compiled(const Compiled& result, const json::YamlDocument& document, const std::string& route_path) {
    place(result.findings, document);
    if (has_errors(result.findings)) {
      return;
    }
    if (facts_.platform == Platform::Cluster) {
      place(check_memory(result.service, question_), document);
    }
    const json::Value spec(result.service.spec);
    if (json::string_at(spec, "router.route.group")) {
      return;  // routes that are meant to share a path
    }
    for (const json::Object& object : result.objects) {
      if (text_at(json::Value(object), "kind") == "HTTPRoute") {
        place(routes_.add(object, route_path), document);
      }
    }
  }

  void other(const json::YamlDocument& document) {
    const json::Object& object = document.value.get_object();
    if (is_values(object) || is_pool_values(object)) {
      return values(document);
    }
    const std::string kind = text_at(document.value, "kind");
    if (kind.empty()) {
      return place({{.code = "not-an-object",
                     .sentence = "no kind: neither a Kubernetes object nor a values file",
                     .fix = object.contains("spec") ? "add apiVersion: serving.kserve.io/v1alpha2, kind: "
                                                      "LLMInferenceService and metadata.name"
                                                    : ""}},
                   document);
    }
    if (text_at(document.value, "apiVersion").empty()) {
      place({{.code = "missing-field",
              .path = "kind",
              .sentence = fmt::format("a {} without apiVersion", kind),
              .fix = "say which group and version it is of"}},
            document);
    }
    if (text_at(document.value, "metadata.namespace").find("${") != std::string::npos) {
      place({{.code = "placeholder",
              .severity = Severity::Warning,
              .path = "metadata.namespace",
              .sentence = "a variable of a shell, which nothing replaces here",
              .fix = "write the namespace, or run the file through envsubst"}},
            document);
    }
    once(document);
    if (kind == "HTTPRoute") {
      place(check_backends(object), document);
      place(routes_.add(object, ""), document);
    }
  }

  // Findings about what the values become have no place of their own in the file.
  void values(const json::YamlDocument& document) {
    ConvertedValues converted = convert_values(document);
    findings_.insert(findings_.end(), converted.findings.begin(), converted.findings.end());
    for (const json::Object& object : converted.objects) {
      if (kind_of(object) == Kind::Service) {
        Compiled result = compile_here(object);
        for (Finding& finding : result.findings) {
          finding.sentence = "as a service: " + finding.sentence;
        }
        compiled(result, document, "");
      }
    }
  }

  // A config that several services use is wrong once.
  Findings without_repetitions() {
    Findings result;
    for (Finding& finding : findings_) {
      const auto same = std::ranges::find_if(result, [&](const Finding& other) {
        return other.code == finding.code && other.path == finding.path && other.line == finding.line &&
               other.source == finding.source &&
               (other.sentence == finding.sentence || (other.code == "template" && other.line != 0));
      });
      if (same == result.end()) {
        result.push_back(std::move(finding));
      } else if (finding.severity < same->severity) {
        *same = std::move(finding);
      }
    }
    return in_reading_order(std::move(result));
  }

  // File by file, as they were given, from top to bottom.
  Findings in_reading_order(Findings findings) const {
    std::vector<std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>> keys;
    for (std::size_t i = 0; i < findings.size(); ++i) {
      const auto file = std::ranges::find(names_, findings[i].source);
      keys.emplace_back(static_cast<std::size_t>(file - names_.begin()), findings[i].line, findings[i].column,
                        i);
    }
    std::ranges::sort(keys);
    Findings sorted;
    for (const auto& key : keys) {
      sorted.push_back(std::move(findings[std::get<3>(key)]));
    }
    return sorted;
  }

  Facts facts_;
  const MemoryQuestion& question_;
  Findings findings_;
  std::vector<std::string> names_;  // of the files
  std::map<std::string, const json::YamlDocument*> configs_;
  std::map<std::string, std::string> seen_;
  RouteTable routes_;
};

}  // namespace

Findings check_manifests(std::span<const ManifestText> files, const Facts& facts,
                         const MemoryQuestion& question) {
  return Checker(facts, question).run(files);
}

Findings check_manifest(std::string_view yaml, std::string_view source_name, const Facts& facts) {
  const ManifestText file{.text = yaml, .name = source_name};
  return check_manifests({&file, 1}, facts);
}

}  // namespace llmd::llmisvc
