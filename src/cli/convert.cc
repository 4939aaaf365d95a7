// `llmd convert FILE…`: chart values and other dialects as LLMInferenceService, and one version as another.
#include <boost/json.hpp>

#include <algorithm>

#include "cli/offline.h"
#include "json/yaml.h"
#include "llmisvc/convert_values.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/dialect.h"

namespace llmd::cli {
namespace {

struct Conversion {
  std::string version = "v1alpha2";
  llmisvc::ValuesOptions values = {};
  std::vector<json::Object> objects = {};
  llmisvc::Findings findings = {};

  void add(const json::YamlDocument& document) {
    const json::Object& object = document.value.as_object();
    if (llmisvc::is_values(object) || llmisvc::is_pool_values(object)) {
      auto converted = llmisvc::convert_values(document, values);
      std::ranges::move(converted.findings, std::back_inserter(findings));
      for (const json::Object& one : converted.objects) {
        add_object(one);
      }
      return;
    }
    llmisvc::Findings some;
    json::Object translated = llmisvc::is_server_dialect(object) ? llmisvc::to_kserve(object, some) : object;
    llmisvc::place_findings(some, document);
    std::ranges::move(some, std::back_inserter(findings));
    add_object(translated);
  }

 private:
  void add_object(const json::Object& object) {
    objects.push_back(
        llmisvc::kind_of(object) == llmisvc::Kind::Other ? object : llmisvc::to_version(object, version));
  }
};

}  // namespace

Result<int> run_convert(Arguments arguments) {
  Conversion conversion;
  std::vector<std::string> files;
  std::string output = "yaml";
  Options options(
      "llmd convert",
      "Prints llm-d-modelservice values and llm-d.ai services as LLMInferenceService of serving.kserve.io, "
      "and converts between its versions. What has no counterpart is listed with its line.");
  options.positional("FILE", files, "values.yaml, manifests, folders of them, or - for standard input")
      .required();
  options.add("--to", conversion.version, "version of the result")
      .one_of({llmisvc::kVersions.begin(), llmisvc::kVersions.end()});
  options.add("--name", conversion.values.name, "name of the service (the release) that values describe");
  options.add("-n,--namespace", conversion.values.name_space, "its namespace");
  options.add("-o,--output", output, "how to print").one_of({"yaml", "json"});
  LLMD_TRY(const bool go_on, options.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto texts, read_files(files));
  for (const TextFile& file : texts) {
    LLMD_TRY(const auto documents, json::parse_yaml(file.text, file.name));
    for (const json::YamlDocument& document : documents) {
      if (!document.value.is_object()) {
        return invalid_argument("{}: neither an object nor a values file", document.place_of(""));
      }
      conversion.add(document);
    }
  }
  print_findings(conversion.findings);
  if (output == "json") {
    boost::json::array list(conversion.objects.begin(), conversion.objects.end());
    fmt::print("{}", json::write_pretty(json::Value(std::move(list))));
  } else {
    for (std::size_t i = 0; i < conversion.objects.size(); ++i) {
      fmt::print("{}{}", i > 0 ? "---\n" : "", json::write_yaml(json::Value(conversion.objects[i])));
    }
  }
  return llmisvc::has_errors(conversion.findings) ? 1 : 0;
}

}  // namespace llmd::cli
