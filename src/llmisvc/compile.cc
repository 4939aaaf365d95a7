#include "llmisvc/compile.h"

#include <filesystem>
#include <set>

#include "json/path.h"
#include "llmisvc/check.h"
#include "llmisvc/dialect.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/render.h"

namespace llmd::llmisvc {
namespace {

void append(Findings& findings, Findings more) {
  findings.insert(findings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string key_of(const json::Value& object) {
  return std::string(json::string_at(object, "metadata.namespace").value_or("default")) + "/" +
         std::string(json::string_at(object, "metadata.name").value_or(""));
}

Compiled compile_canonical(const json::Object& service, const Facts& facts) {
  Compiled result;
  const json::Object canonical = to_kserve(service, result.findings);
  append(result.findings, check_object(canonical));
  if (has_errors(result.findings)) {
    result.service = Service{.api_version = {}, .name = {}, .name_space = {}, .model = {}, .main = {}};
    return result;
  }
  Composition composition = compose(canonical, facts);
  append(result.findings, std::move(composition.findings));
  result.applied = std::move(composition.applied);
  result.service = view_of(composition.object);
  if (has_errors(result.findings)) {
    return result;
  }
  append(result.findings, check(result.service, facts));
  if (has_errors(result.findings)) {
    return result;
  }
  auto objects = render(result.service, facts);
  if (!objects) {
    result.findings.push_back({.code = "render",
                               .path = "spec",
                               .sentence = objects.error().message,
                               .fix = objects.error().advice});
    return result;
  }
  result.objects = std::move(*objects);
  return result;
}

}  // namespace

Compiled compile(const json::Object& service, const Facts& facts) {
  Compiled result = compile_canonical(service, facts);
  if (is_server_dialect(service)) {
    use_server_paths(result.findings);
  }
  return result;
}

void settle_namespaces(std::vector<json::YamlDocument>& documents) {
  const auto is_ours = [](const json::YamlDocument& document) {
    return document.value.is_object() && kind_of(document.value.get_object()) != Kind::Other &&
           json::object_at(document.value, "metadata") != nullptr;
  };
  std::set<std::string> stated;
  for (const json::YamlDocument& document : documents) {
    if (const auto name = json::string_at(document.value, "metadata.namespace"); name && is_ours(document)) {
      stated.emplace(*name);
    }
  }
  for (json::YamlDocument& document : documents) {
    if (stated.size() == 1 && is_ours(document) &&
        json::find(document.value, "metadata.namespace") == nullptr) {
      document.value.at("metadata").get_object()["namespace"] = *stated.begin();
    }
  }
}

namespace {

// The items of a List, which is how kubectl writes several objects, as documents of their own with their
// places in the file.
void add_items(json::YamlDocument document, std::vector<json::YamlDocument>& result) {
  const auto kind = json::string_at(document.value, "kind").value_or("");
  const auto* items = json::array_at(document.value, "items");
  if (items == nullptr || kind != "List") {
    result.push_back(std::move(document));
    return;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string path = json::path_index("items", i);
    json::YamlDocument item{.value = (*items)[i], .source_name = document.source_name, .positions = {}};
    for (auto place = document.positions.lower_bound(path);
         place != document.positions.end() && place->first.starts_with(path); ++place) {
      std::string_view rest = std::string_view(place->first).substr(path.size());
      rest.remove_prefix(rest.starts_with('.') ? 1 : 0);
      item.positions.emplace(rest, place->second);
    }
    add_items(std::move(item), result);
  }
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view yaml, std::string_view source_name) {
  LLMD_TRY(auto texts, json::parse_yaml(yaml, source_name));
  std::vector<json::YamlDocument> documents;
  for (json::YamlDocument& text : texts) {
    add_items(std::move(text), documents);
  }
  Manifest manifest;
  settle_namespaces(documents);
  for (json::YamlDocument& document : documents) {
    if (!document.value.is_object()) {
      return invalid_argument("{}: expected an object with apiVersion and kind, got {}",
                              document.place_of(""), json::kind_name(document.value));
    }
    switch (kind_of(document.value.get_object())) {
      case Kind::Service:
        manifest.services.push_back(std::move(document));
        break;
      case Kind::Config:
        manifest.configs.push_back(std::move(document));
        break;
      case Kind::Other:
        manifest.others.push_back(std::move(document));
        break;
    }
  }
  return manifest;
}

void resolve_file_uris(json::Object& service, std::string_view folder) {
  json::Value root(std::move(service));
  const auto resolve = [&](const std::string& path) {
    const auto uri = json::string_at(root, path);
    if (uri && uri->starts_with("file://") && !uri->starts_with("file:///")) {
      const auto absolute = (std::filesystem::path(folder) / uri->substr(7)).lexically_normal();
      (void)json::set_at(root, path, json::Value(json::String("file://" + absolute.string())));
    }
  };
  resolve("spec.model.uri");
  const auto* adapters = json::array_at(root, "spec.model.lora.adapters");
  for (std::size_t i = 0; adapters != nullptr && i < adapters->size(); ++i) {
    resolve(fmt::format("spec.model.lora.adapters[{}].uri", i));
  }
  service = std::move(root.get_object());
}

Facts with_configs(Facts facts, const Manifest& manifest) {
  for (const json::YamlDocument& document : manifest.configs) {
    facts.configs[key_of(document.value)] = {.object = document.value.get_object(),
                                             .source = document.source_name};
  }
  for (const json::YamlDocument& document : manifest.others) {
    remember(facts, document.value.get_object());
    if (json::string_at(document.value, "kind").value_or("") != "ConfigMap") {
      continue;
    }
    auto& data = facts.config_maps[key_of(document.value)];
    const auto* entries = json::object_at(document.value, "data");
    for (const auto& entry : entries != nullptr ? *entries : json::Object()) {
      if (entry.value().is_string()) {
        data[std::string(entry.key())] = std::string(text_view(entry.value()));
      }
    }
  }
  return facts;
}

}  // namespace llmd::llmisvc
