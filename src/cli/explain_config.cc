// `llmd explain-config SERVICE`: which preset, config or line of the service set each field that takes
// effect.
#include <boost/json.hpp>

#include "cli/api_call.h"
#include "cli/manifests.h"
#include "cli/offline.h"
#include "json/path.h"
#include "kube/resource.h"
#include "llmisvc/dialect.h"
#include "llmisvc/explain.h"
#include "llmisvc/facts_documents.h"

namespace llmd::cli {
namespace {

struct ExplainOptions {
  std::string service;
  std::string name_space = "default";
  std::vector<std::string> files;
  std::string data;
  std::string path;
  std::string output = "text";
  std::string facts_folder;
  bool local = false;
};

struct Found {
  json::Object service;
  llmisvc::Facts facts;
};

Result<Found> find_in_files(const ExplainOptions& options) {
  LLMD_TRY(auto input, read_input({.files = options.files,
                                   .output = {},
                                   .facts_folder = options.facts_folder,
                                   .local = options.local}));
  if (input.unreadable) {
    return std::unexpected(*input.unreadable);
  }
  std::string names;
  for (json::YamlDocument& document : input.services) {
    const auto name = json::string_at(document.value, "metadata.name").value_or("");
    if (name == options.service) {
      return Found{.service = std::move(document.value.as_object()), .facts = std::move(input.facts)};
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  return not_found("no LLMInferenceService '{}' in the files", options.service)
      .hint(names.empty() ? "" : "there are: " + names);
}

Result<json::Value> answer(async::EventLoop& loop, ApiCall& api, const std::string& path) {
  LLMD_TRY(const auto body, loop.block_on(api.get(path, "application/json")));
  return json::parse(body);
}

// What the running llmd up has: the service, and every config and ConfigMap that could take part.
Result<Found> find_in_cluster(const ExplainOptions& options) {
  async::EventLoop loop;
  LLMD_TRY(auto api, ApiCall::open(loop, options.data));
  LLMD_TRY(auto service, answer(loop, api, kube::kLlmServices.path(options.name_space, options.service)));
  if (!service.is_object()) {
    return internal_error("the API server did not answer with an object");
  }
  Found found{.service = std::move(service.as_object()), .facts = facts_for(true)};
  for (const kube::Resource* resource : {&kube::kLlmConfigs, &kube::kConfigMaps}) {
    LLMD_TRY(auto list, answer(loop, api, resource->path("")));
    // Items of a list do not repeat their kind.
    if (auto* items = list.is_object() ? list.as_object().if_contains("items") : nullptr;
        items != nullptr && items->is_array()) {
      for (json::Value& item : items->as_array()) {
        item.as_object()["kind"] = boost::json::string_view(resource->kind.data(), resource->kind.size());
      }
    }
    const std::vector<json::YamlDocument> documents{
        {.value = std::move(list), .source_name = "cluster", .positions = {}}};
    found.facts = llmisvc::with_documents(std::move(found.facts), documents);
  }
  return found;
}

void print_text(const std::vector<llmisvc::FieldOrigin>& origins) {
  for (const auto& origin : origins) {
    std::string line = fmt::format("{} = {}\n    {}", origin.path, json::write(origin.value), origin.layer);
    if (!origin.source.empty() && origin.source != "built in") {
      line += fmt::format(" ({})", origin.source);
    }
    for (std::size_t i = 0; i < origin.overridden.size(); ++i) {
      line += (i == 0 ? ", over " : " and ") + origin.overridden[i];
    }
    fmt::print("{}\n", line);
  }
}

boost::json::array origins_json(const std::vector<llmisvc::FieldOrigin>& origins) {
  boost::json::array list;
  for (const auto& origin : origins) {
    boost::json::array overridden(origin.overridden.begin(), origin.overridden.end());
    list.push_back(boost::json::object{{"path", origin.path},
                                       {"value", origin.value},
                                       {"layer", origin.layer},
                                       {"source", origin.source},
                                       {"over", std::move(overridden)}});
  }
  return list;
}

}  // namespace

Result<int> run_explain_config(Arguments arguments) {
  ExplainOptions options;
  Options command_line(
      "llmd explain-config",
      "Says which layer set each field of a service that takes effect: a preset, a config of its "
      "baseRefs, the service itself or a default. Asks the running llmd up, or reads files.");
  command_line.positional("SERVICE", options.service, "name of the service").required();
  command_line.add("-f,--file", options.files, "files with the service and its configs");
  command_line.add("-n,--namespace", options.name_space, "namespace of the service");
  command_line.add("--path", options.path, "only fields below this path: spec.template");
  command_line.add("-o,--output", options.output, "how to print").one_of({"text", "json"});
  command_line.add("--facts", options.facts_folder, "with -f: folder of objects of the cluster");
  command_line.add("--local", options.local, "with -f: as llmd up sees them, instead of a cluster");
  command_line.add("--data", options.data, "data directory of the llmd up");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto found, options.files.empty() ? find_in_cluster(options) : find_in_files(options));
  llmisvc::Findings findings;
  const json::Object canonical = llmisvc::to_kserve(found.service, findings);
  auto composition = llmisvc::compose(canonical, found.facts);
  findings.insert(findings.end(), composition.findings.begin(), composition.findings.end());
  print_findings(findings);
  if (llmisvc::has_errors(findings)) {
    return 1;
  }
  auto origins = llmisvc::explain(composition);
  std::erase_if(origins, [&](const auto& origin) { return !origin.path.starts_with(options.path); });
  if (options.output == "json") {
    fmt::print("{}", json::write_pretty(json::Value(origins_json(origins))));
  } else {
    print_text(origins);
  }
  return 0;
}

}  // namespace llmd::cli
