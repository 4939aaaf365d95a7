#include "llmisvc/facts_documents.h"

#include <set>
#include <string>

#include "json/path.h"
#include "llmisvc/dialect.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Value& root, std::string_view path) {
  return std::string(json::string_at(root, path).value_or(""));
}

// KServe's own configuration: each entry is JSON in a text.
void add_operator_settings(Facts& facts, const json::Value& map) {
  if (const auto ingress = json::parse_object(text_at(map, "data.ingress"))) {
    const json::Value value(*ingress);
    const std::string gateway = text_at(value, "kserveIngressGateway");
    if (const std::size_t slash = gateway.find('/'); slash != std::string::npos) {
      facts.gateway_namespace = gateway.substr(0, slash);
      facts.gateway_name = gateway.substr(slash + 1);
    }
    if (const std::string header = text_at(value, "modelBasedRoutingHeaderName"); !header.empty()) {
      facts.model_header = header;
    }
    facts.model_routing =
        parse_model_routing(text_at(value, "modelBasedRoutingMode")).value_or(facts.model_routing);
    facts.tls = json::bool_at(value, "enableLLMInferenceServiceTLS").value_or(facts.tls);
  }
  if (const auto storage = json::parse_object(text_at(map, "data.storageInitializer"))) {
    if (const std::string image = text_at(json::Value(*storage), "image"); !image.empty()) {
      facts.storage_initializer_image = image;
    }
  }
}

class Collector {
 public:
  explicit Collector(Facts facts) : facts_(std::move(facts)) {}

  void add(const json::Value& value, const std::string& source) {
    if (!value.is_object()) {
      return;
    }
    const json::Object& object = value.get_object();
    const std::string kind = text_at(value, "kind");
    const std::string name = text_at(value, "metadata.name");
    const std::string name_space(json::string_at(value, "metadata.namespace").value_or("default"));
    if (const auto* items = json::array_at(value, "items"); items != nullptr && kind.ends_with("List")) {
      for (const json::Value& item : *items) {
        add(item, source);
      }
    } else if (kind_of(object) == Kind::Config) {
      facts_.configs[name_space + "/" + name] = {.object = object, .source = source};
    } else if (kind == "ConfigMap") {
      add_config_map(value, name_space + "/" + name);
      if (name == "inferenceservice-config") {
        add_operator_settings(facts_, value);
      }
    } else if (kind == "CustomResourceDefinition") {
      definitions_.insert(name);
      drop_unserved(value, name);
    } else {
      remember(facts_, object);
    }
  }

  Facts finish() {
    if (definitions_.empty()) {
      return std::move(facts_);
    }
    const auto has = [&](const char* name) { return definitions_.contains(name); };
    facts_.has_inference_pool_v1 = has("inferencepools.inference.networking.k8s.io");
    facts_.has_inference_pool_v1alpha2 = has("inferencepools.inference.networking.x-k8s.io");
    facts_.has_inference_model = has("inferencemodels.inference.networking.x-k8s.io");
    facts_.has_inference_objective = has("inferenceobjectives.inference.networking.x-k8s.io");
    facts_.has_monitors = has("podmonitors.monitoring.coreos.com");
    return std::move(facts_);
  }

 private:
  void add_config_map(const json::Value& map, const std::string& key) {
    auto& data = facts_.config_maps[key];
    if (const auto* entries = json::object_at(map, "data")) {
      for (const auto& entry : *entries) {
        data[std::string(key_view(entry))] = std::string(text_view(entry.value()));
      }
    }
  }

  // A definition that serves no version any more does not count.
  void drop_unserved(const json::Value& definition, const std::string& name) {
    const auto* versions = json::array_at(definition, "spec.versions");
    bool served = versions == nullptr;
    for (const json::Value& version : versions != nullptr ? *versions : json::Array()) {
      served = served || json::bool_at(version, "served").value_or(true);
    }
    if (!served) {
      definitions_.erase(name);
    }
  }

  Facts facts_;
  std::set<std::string, std::less<>> definitions_;
};

}  // namespace

Facts with_documents(Facts facts, std::span<const json::YamlDocument> documents) {
  Collector collector(std::move(facts));
  for (const json::YamlDocument& document : documents) {
    collector.add(document.value, document.source_name);
  }
  return collector.finish();
}

}  // namespace llmd::llmisvc
