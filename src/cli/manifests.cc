#include "cli/manifests.h"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>

#include "base/file.h"
#include "cli/check_settings.h"
#include "json/yaml.h"
#include "llmisvc/check.h"
#include "llmisvc/compile.h"
#include "llmisvc/convert_values.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/dialect.h"

namespace llmd::cli {
namespace {

constexpr std::string_view kManager = "llmd-up";

Result<const kube::Resource*> resource_of(const kube::Object& object) {
  const auto* resource = kube::find_resource(kube::api_version_of(object), kube::kind_of(object));
  if (resource == nullptr) {
    return invalid_argument("no kind '{}' in '{}'", kube::kind_of(object), kube::api_version_of(object));
  }
  return resource;
}

Task<Result<void>> ensure_namespace(kube::Client& client, std::string name) {
  const auto existing = co_await client.get(kube::kNamespaces, {{}, name});
  if (existing || existing.error().kind != ErrorKind::NotFound) {
    co_return existing ? Result<void>() : std::unexpected(existing.error());
  }
  kube::Object object{
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", kube::Object{{"name", name}}}};
  const auto created = co_await client.create(kube::kNamespaces, std::move(object));
  if (!created && created.error().kind != ErrorKind::AlreadyExists) {
    co_return std::unexpected(created.error());
  }
  co_return Result<void>();
}

// What an API server understands: chart values and llm-d.ai services as KServe's, services and configs in the
// version it serves, an apiVersion where a document of ours leaves it out.
std::vector<kube::Object> as_objects(const json::YamlDocument& document) {
  const kube::Object& object = document.value.as_object();
  if (llmisvc::is_values(object)) {
    return llmisvc::convert_values(document).objects;
  }
  llmisvc::Findings reported;  // by the check before
  kube::Object result = llmisvc::is_server_dialect(object) ? llmisvc::to_kserve(object, reported) : object;
  if (llmisvc::kind_of(result) != llmisvc::Kind::Other) {
    result = llmisvc::to_version(result, kube::kLlmServices.version);
  }
  return {std::move(result)};
}

// The file's objects, with relative file:// URIs made absolute: they mean files beside the manifest.
Result<void> add_objects(const TextFile& file, std::vector<kube::Object>& objects) {
  const std::string folder = std::filesystem::absolute(file.name).parent_path().string();
  LLMD_TRY(const auto manifest, llmisvc::parse_manifest(file.text, file.name));
  for (const auto* documents : {&manifest.others, &manifest.configs, &manifest.services}) {
    for (const json::YamlDocument& document : *documents) {
      for (kube::Object& object : as_objects(document)) {
        if (kube::kind_of(object) == kube::kLlmServices.kind) {
          llmisvc::resolve_file_uris(object, folder);
        }
        objects.push_back(std::move(object));
      }
    }
  }
  return {};
}

// Prints what is wrong; the number of errors. Scheduler configurations only earn warnings: on this machine
// the gateway picks, and does not read them.
std::size_t report_mistakes(const std::vector<TextFile>& files) {
  std::vector<llmisvc::ManifestText> manifests;
  for (const TextFile& file : files) {
    manifests.push_back({.text = file.text, .name = file.name});
  }
  const llmisvc::Facts facts = facts_for(true);
  llmisvc::Findings findings = llmisvc::check_manifests(manifests, facts);
  for (llmisvc::Finding& finding : check_settings(files, facts)) {
    finding.severity = std::max(finding.severity, llmisvc::Severity::Warning);
    findings.push_back(std::move(finding));
  }
  print_findings(findings);
  return static_cast<std::size_t>(
      std::ranges::count(findings, llmisvc::Severity::Error, &llmisvc::Finding::severity));
}

}  // namespace

Result<std::vector<std::string>> expand_folders(const std::vector<std::string>& files) {
  std::vector<std::string> expanded;
  for (const std::string& file : files) {
    if (file == "-" || !std::filesystem::is_directory(file)) {
      expanded.push_back(file);
      continue;
    }
    const auto before = expanded.size();
    for (const auto& entry : std::filesystem::directory_iterator(file)) {
      if (entry.path().extension() == ".yaml" || entry.path().extension() == ".yml") {
        expanded.push_back(entry.path().string());
      }
    }
    if (expanded.size() == before) {
      return not_found("{}: no *.yaml in this folder", file);
    }
    std::sort(expanded.begin() + static_cast<std::ptrdiff_t>(before), expanded.end());
  }
  return expanded;
}

Result<std::string> read_manifest(const std::string& file) {
  if (file == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  return read_file(file, std::size_t{16} << 20);
}

llmisvc::Facts facts_for(bool local) {
  return local ? llmisvc::local_facts() : llmisvc::Facts();
}

Result<std::vector<kube::Object>> load_manifests(const std::vector<std::string>& files) {
  LLMD_TRY(const auto texts, read_files(files));
  const std::size_t errors = report_mistakes(texts);
  if (errors > 0) {
    return invalid_argument("{} {} in the manifests", errors, errors == 1 ? "mistake" : "mistakes");
  }
  std::vector<kube::Object> objects;
  for (const TextFile& file : texts) {
    LLMD_TRY_VOID(add_objects(file, objects));
  }
  return objects;
}

Task<Result<void>> apply_manifests(kube::Client& client, std::vector<kube::Object> objects) {
  for (kube::Object& object : objects) {
    LLMD_CO_TRY(const auto* resource, resource_of(object));
    if (resource->namespaced) {
      if (kube::namespace_of(object).empty()) {
        kube::at(object, "metadata.namespace") = "default";
      }
      LLMD_CO_TRY_VOID(co_await ensure_namespace(client, std::string(kube::namespace_of(object))));
    }
    const std::string what = fmt::format("{} {}", resource->kind, kube::key_of(object).to_string());
    auto applied = co_await client.apply(*resource, std::move(object), std::string(kManager));
    if (!applied) {
      co_return std::unexpected(std::move(applied).error().within(what));
    }
  }
  co_return Result<void>();
}

}  // namespace llmd::cli
