#include "cli/check_settings.h"

#include <algorithm>
#include <set>

#include "cli/picker_findings.h"
#include "gateway/configuration.h"
#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/compile.h"

namespace llmd::cli {
namespace {

// The documents of a file, each behind as many empty lines as stand before it: places stay as they are.
std::vector<std::string> documents_in_place(std::string_view text) {
  std::vector<std::string> documents(1);
  std::size_t lines = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    ++lines;
    if (line == "---" || line.starts_with("---\n") || line.starts_with("--- ") || line.starts_with("---\r")) {
      documents.emplace_back(lines, '\n');
    } else {
      documents.back() += line;
    }
  }
  return documents;
}

// The scheduler configurations of services and configs, and of the ConfigMaps they name.
class SchedulerConfigs {
 public:
  SchedulerConfigs(const std::vector<TextFile>& files, const llmisvc::Facts& facts) : facts_(facts) {
    for (const TextFile& file : files) {
      if (auto manifest = llmisvc::parse_manifest(file.text, file.name)) {  // else it is a syntax finding
        manifests_.push_back({.text = file.text, .manifest = std::move(*manifest)});
      }
    }
  }

  llmisvc::Findings check() {
    for (const Parsed& parsed : manifests_) {
      for (const auto* documents : {&parsed.manifest.configs, &parsed.manifest.services}) {
        for (const json::YamlDocument& document : *documents) {
          check_inline(document, parsed.text);
          check_reference(document);
        }
      }
    }
    return std::move(findings_);
  }

 private:
  struct Parsed {
    std::string_view text;
    llmisvc::Manifest manifest;
  };

  void add(llmisvc::Findings findings) { std::ranges::move(findings, std::back_inserter(findings_)); }

  void check_inline(const json::YamlDocument& document, std::string_view text) {
    const std::string path = std::string(kConfig) + ".inline";
    add(picker_findings(document, path, path, text));
  }

  void check_reference(const json::YamlDocument& document) {
    const std::string path = std::string(kConfig) + ".ref";
    const auto name = json::string_at(document.value, path + ".name");
    if (!name) {
      return;
    }
    const std::string_view given = json::string_at(document.value, path + ".key").value_or("");
    const std::string key(given.empty() ? kUsualKey : given);
    for (const std::string& name_space : namespaces_for(document, *name)) {
      const std::string map = fmt::format("{}/{}", name_space, *name);
      if (check_map(map, key)) {
        return;
      }
      if (const auto known = facts_.config_maps.find(map); known != facts_.config_maps.end()) {
        const auto text = known->second.find(key);
        if (text != known->second.end() && checked_.emplace(map, key).second) {
          add(picker_findings_at(document, path, text->second, name_of(map, key)));
        }
        return;
      }
    }
  }

  // Where the operator looks for it. A config is used by services, whose namespaces nobody knows here.
  std::vector<std::string> namespaces_for(const json::YamlDocument& document, std::string_view name) const {
    std::vector<std::string> spaces{namespace_of(document)};
    if (name.starts_with("config-scheduler-")) {
      spaces.push_back(facts_.system_namespace);
    }
    return spaces;
  }

  // False where no file has the ConfigMap. One that several services name is checked once.
  bool check_map(const std::string& map, const std::string& key) {
    for (const Parsed& parsed : manifests_) {
      for (const json::YamlDocument& document : parsed.manifest.others) {
        if (json::string_at(document.value, "kind") == "ConfigMap" && key_of(document) == map) {
          if (checked_.emplace(map, key).second) {
            add(picker_findings(document, json::path_member("data", key), name_of(map, key), parsed.text));
          }
          return true;
        }
      }
    }
    return false;
  }

  static std::string name_of(const std::string& map, const std::string& key) {
    return fmt::format("ConfigMap {}: {}", map, json::path_member("data", key));
  }
  static std::string namespace_of(const json::YamlDocument& document) {
    return std::string(json::string_at(document.value, "metadata.namespace").value_or("default"));
  }
  static std::string key_of(const json::YamlDocument& document) {
    return fmt::format("{}/{}", namespace_of(document),
                       json::string_at(document.value, "metadata.name").value_or(""));
  }

  static constexpr std::string_view kConfig = "spec.router.scheduler.config";
  static constexpr std::string_view kUsualKey = "epp";

  const llmisvc::Facts& facts_;
  std::vector<Parsed> manifests_;
  std::set<std::pair<std::string, std::string>> checked_;  // "namespace/name", key
  llmisvc::Findings findings_;
};

void check_document(const std::string& text, const std::string& file, llmisvc::Findings& findings) {
  const auto parsed = json::parse_yaml(text, file);
  if (!parsed || parsed->size() != 1) {
    return;  // said by those who read it as a manifest
  }
  const std::string kind(json::string_at(parsed->front().value, "kind").value_or(""));
  if (kind == "EndpointPickerConfig") {
    std::ranges::move(picker_findings(text, file), std::back_inserter(findings));
  } else if (kind == "GatewayConfiguration") {
    if (const auto read = gateway::parse_gateway_configuration(text, file); !read) {
      findings.push_back(
          placed_finding(read.error().text(), file, "gateway-config", llmisvc::Severity::Error));
    }
  }
}

}  // namespace

llmisvc::Findings check_settings(const std::vector<TextFile>& files, const llmisvc::Facts& facts) {
  llmisvc::Findings findings = SchedulerConfigs(files, facts).check();
  for (const TextFile& file : files) {
    for (const std::string& document : documents_in_place(file.text)) {
      check_document(document, file.name, findings);
    }
  }
  return findings;
}

}  // namespace llmd::cli
