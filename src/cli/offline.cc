#include "cli/offline.h"

#include <boost/json.hpp>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/manifests.h"
#include "json/path.h"
#include "llmisvc/convert_values.h"
#include "llmisvc/dialect.h"
#include "llmisvc/facts_documents.h"
#include "modelfile/gguf.h"

namespace llmd::cli {
namespace {

constexpr std::size_t kLargestConfig = std::size_t{16} << 20;

// Of all tensors, from the index where there is one.
double weight_bytes_in(const std::filesystem::path& folder) {
  if (const auto index = read_file(folder / "model.safetensors.index.json", kLargestConfig)) {
    if (const auto value = json::parse(*index)) {
      if (const auto size = json::double_at(*value, "metadata.total_size")) {
        return *size;
      }
    }
  }
  double bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") {
      bytes += static_cast<double>(entry.file_size(error));
    }
  }
  return bytes;
}

void add_manifest(llmisvc::Manifest manifest, const std::string& file, OfflineInput& input) {
  input.facts = llmisvc::with_configs(std::move(input.facts), manifest);
  const std::string folder = std::filesystem::absolute(file).parent_path().string();
  for (json::YamlDocument& document : manifest.services) {
    llmisvc::resolve_file_uris(document.value.as_object(), folder);
    input.services.push_back(std::move(document));
  }
  for (const json::YamlDocument& document : manifest.others) {
    if (!llmisvc::is_values(document.value.as_object())) {
      continue;
    }
    auto converted = llmisvc::convert_values(document);
    std::ranges::move(converted.findings, std::back_inserter(input.findings));
    for (json::Object& object : converted.objects) {
      if (llmisvc::kind_of(object) == llmisvc::Kind::Service) {
        input.services.push_back(
            {.value = json::Value(std::move(object)), .source_name = file, .positions = {}});
      }
    }
  }
}

}  // namespace

void OfflineOptions::describe(Options& options, std::vector<std::string> outputs) {
  output = outputs.front();
  options.positional("FILE", files, "manifests, folders of them, or - for standard input").required();
  options.add("-o,--output", output, "how to print").one_of(outputs);
  options.add("--facts", facts_folder,
              "folder of objects of the cluster, as kubectl get -o yaml writes them");
  options.add("--local", local, "as llmd up sees them, instead of a cluster");
}

Result<std::vector<TextFile>> read_files(const std::vector<std::string>& files) {
  LLMD_TRY(const auto expanded, expand_folders(files));
  std::vector<TextFile> result;
  for (const std::string& file : expanded) {
    LLMD_TRY(auto text, read_manifest(file));
    result.push_back({.name = file == "-" ? "<stdin>" : file, .text = std::move(text)});
  }
  return result;
}

Result<llmisvc::Facts> offline_facts(const OfflineOptions& options) {
  llmisvc::Facts facts = facts_for(options.local);
  if (options.facts_folder.empty()) {
    return facts;
  }
  LLMD_TRY(const auto files, read_files({options.facts_folder}));
  std::vector<json::YamlDocument> all;
  for (const TextFile& file : files) {
    LLMD_TRY(auto documents, json::parse_yaml(file.text, file.name));
    std::ranges::move(documents, std::back_inserter(all));
  }
  return llmisvc::with_documents(std::move(facts), all);
}

Result<OfflineInput> read_input(const OfflineOptions& options) {
  LLMD_TRY(auto facts, offline_facts(options));
  LLMD_TRY(auto files, read_files(options.files));
  OfflineInput input{.files = std::move(files), .facts = std::move(facts)};
  for (const TextFile& file : input.files) {
    auto manifest = llmisvc::parse_manifest(file.text, file.name);
    if (manifest) {
      add_manifest(std::move(*manifest), file.name, input);
    } else if (!input.unreadable) {
      input.unreadable = manifest.error();
    }
  }
  return input;
}

void print_findings(const llmisvc::Findings& findings) {
  for (const llmisvc::Finding& finding : findings) {
    fmt::print(stderr, "{}\n", llmisvc::render_finding(finding));
  }
}

json::Object finding_json(const llmisvc::Finding& finding) {
  return {{"code", finding.code}, {"severity", llmisvc::to_string(finding.severity)},
          {"path", finding.path}, {"sentence", finding.sentence},
          {"fix", finding.fix},   {"source", finding.source},
          {"line", finding.line}, {"column", finding.column}};
}

Result<llmisvc::ModelShape> read_model_shape(const std::string& path) {
  if (path.ends_with(".gguf")) {
    LLMD_TRY(const auto file, modelfile::GgufFile::open(path));
    return llmisvc::shape_of_gguf(file);
  }
  std::filesystem::path folder = path;
  if (folder.filename() == "config.json") {
    folder = folder.parent_path();
  }
  LLMD_TRY(const auto text, read_file(folder / "config.json", kLargestConfig));
  LLMD_TRY(const auto config, json::parse(text));
  return llmisvc::shape_of_config(config, folder.lexically_normal().filename().string(),
                                  weight_bytes_in(folder));
}

llmisvc::ModelShapes local_model_shapes(const std::vector<json::YamlDocument>& services) {
  llmisvc::ModelShapes shapes;
  for (const json::YamlDocument& service : services) {
    const std::string uri(json::string_at(service.value, "spec.model.uri").value_or(""));
    if (uri.starts_with("file://")) {
      if (auto shape = read_model_shape(uri.substr(7))) {
        shapes.emplace(uri, std::move(*shape));
      }
    }
  }
  return shapes;
}

}  // namespace llmd::cli
