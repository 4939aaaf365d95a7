// `llmd check FILE…` and `llmd render FILE…`: what `llmd up` and the operator would say and do, without doing
// it.
#include <boost/json.hpp>

#include "cli/manifests.h"
#include "cli/options.h"
#include "json/value.h"
#include "json/yaml.h"
#include "llmisvc/check.h"
#include "llmisvc/compile.h"

namespace llmd::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> files;
  std::string output;
  bool local = false;
};

// nullopt: help was asked for and printed.
Result<std::optional<CheckOptions>> parse_options(std::string_view name, std::string_view text,
                                                  std::vector<std::string> outputs, Arguments arguments) {
  CheckOptions options{.output = outputs.front()};
  Options command_line(fmt::format("llmd {}", name), std::string(text));
  command_line.positional("FILE", options.files, "manifests, or - for standard input").required();
  command_line.add("-o,--output", options.output, "how to print").one_of(outputs);
  command_line.add("--local", options.local, "as llmd up sees them, instead of a cluster");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  return go_on ? std::optional(options) : std::nullopt;
}

kube::Object finding_json(const llmisvc::Finding& finding) {
  return {{"code", finding.code}, {"severity", llmisvc::to_string(finding.severity)},
          {"path", finding.path}, {"sentence", finding.sentence},
          {"fix", finding.fix},   {"source", finding.source},
          {"line", finding.line}, {"column", finding.column}};
}

// The objects of one file's services, and its findings printed.
Result<bool> render_file(const std::string& file, const llmisvc::Facts& facts, boost::json::array& objects) {
  LLMD_TRY(const auto text, read_manifest(file));
  LLMD_TRY(const auto manifest, llmisvc::parse_manifest(text, file));
  const auto all_facts = llmisvc::with_configs(facts, manifest);
  bool ok = true;
  for (const auto& document : manifest.services) {
    auto compiled = llmisvc::compile(document.value.as_object(), all_facts);
    llmisvc::place_findings(compiled.findings, document);
    for (const auto& finding : compiled.findings) {
      fmt::print(stderr, "{}\n", llmisvc::render_finding(finding));
    }
    ok = ok && !llmisvc::has_errors(compiled.findings);
    for (auto& object : compiled.objects) {
      objects.emplace_back(std::move(object));
    }
  }
  return ok;
}

}  // namespace

Result<int> run_check(Arguments arguments) {
  LLMD_TRY(const auto options,
           parse_options("check", "Finds mistakes in manifests.", {"text", "json"}, arguments));
  if (!options) {
    return 0;
  }
  bool ok = true;
  boost::json::array list;
  for (const std::string& file : options->files) {
    LLMD_TRY(const auto text, read_manifest(file));
    for (const auto& finding : llmisvc::check_manifest(text, file, facts_for(options->local))) {
      ok = ok && finding.severity != llmisvc::Severity::Error;
      if (options->output == "json") {
        list.emplace_back(finding_json(finding));
      } else {
        fmt::print("{}\n", llmisvc::render_finding(finding));
      }
    }
  }
  if (options->output == "json") {
    fmt::print("{}", json::write_pretty(json::Value(std::move(list))));
  }
  return ok ? 0 : 1;
}

Result<int> run_render(Arguments arguments) {
  LLMD_TRY(const auto options,
           parse_options("render", "Prints the Kubernetes objects that the services become.",
                         {"yaml", "json"}, arguments));
  if (!options) {
    return 0;
  }
  boost::json::array objects;
  bool ok = true;
  for (const std::string& file : options->files) {
    LLMD_TRY(const bool clean, render_file(file, facts_for(options->local), objects));
    ok = ok && clean;
  }
  if (options->output == "json") {
    fmt::print("{}", json::write_pretty(json::Value(std::move(objects))));
  } else {
    for (const auto& object : objects) {
      fmt::print("---\n{}", json::write_yaml(object));
    }
  }
  return ok ? 0 : 1;
}

}  // namespace llmd::cli
