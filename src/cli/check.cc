// `llmd check FILE…` and `llmd render FILE…`: what `llmd up` and the operator would say and do, without doing
// it.
#include <boost/json.hpp>

#include "cli/check_settings.h"
#include "cli/memory_options.h"
#include "cli/offline.h"
#include "json/yaml.h"
#include "llmisvc/check.h"
#include "llmisvc/tree.h"

namespace llmd::cli {
namespace {

int print_checked(const llmisvc::Findings& findings, bool as_json) {
  if (as_json) {
    boost::json::array list;
    for (const auto& finding : findings) {
      list.emplace_back(finding_json(finding));
    }
    fmt::print("{}", json::write_pretty(json::Value(std::move(list))));
  } else {
    for (const auto& finding : findings) {
      fmt::print("{}\n", llmisvc::render_finding(finding));
    }
  }
  return llmisvc::has_errors(findings) ? 1 : 0;
}

struct Rendered {
  std::vector<llmisvc::Compiled> services;
  bool ok = true;
};

// Every service of all files, their findings printed.
Result<Rendered> render_all(const OfflineOptions& options) {
  LLMD_TRY(auto input, read_input(options));
  if (input.unreadable) {
    return std::unexpected(*input.unreadable);
  }
  llmisvc::Findings findings = std::move(input.findings);
  Rendered rendered;
  for (const json::YamlDocument& document : input.services) {
    auto compiled = llmisvc::compile(document.value.as_object(), input.facts);
    llmisvc::place_findings(compiled.findings, document);
    findings.insert(findings.end(), compiled.findings.begin(), compiled.findings.end());
    rendered.services.push_back(std::move(compiled));
  }
  print_findings(findings);
  rendered.ok = !llmisvc::has_errors(findings);
  return rendered;
}

}  // namespace

Result<int> run_check(Arguments arguments) {
  OfflineOptions options;
  MemoryOptions memory;
  Options command_line("llmd check", "Finds mistakes in manifests; exit code 1 when there are errors.");
  options.describe(command_line, {"text", "json"});
  memory.describe(command_line);
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto input, read_input(options));
  LLMD_TRY(const auto question, memory.question(input.services));
  std::vector<llmisvc::ManifestText> texts;
  for (const TextFile& file : input.files) {
    texts.push_back({.text = file.text, .name = file.name});
  }
  auto findings = llmisvc::check_manifests(texts, input.facts, question);
  std::ranges::move(check_settings(input.files, input.facts), std::back_inserter(findings));
  return print_checked(findings, options.output == "json");
}

Result<int> run_render(Arguments arguments) {
  OfflineOptions options;
  Options command_line("llmd render", "Prints the Kubernetes objects that the services become.");
  options.describe(command_line, {"yaml", "json", "tree"});
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto rendered, render_all(options));
  boost::json::array objects;
  for (const auto& service : rendered.services) {
    if (options.output == "tree" && !service.objects.empty()) {
      fmt::print("{}", llmisvc::objects_as_tree(service));
    }
    for (const auto& object : service.objects) {
      if (options.output == "json") {
        objects.emplace_back(object);
      } else if (options.output == "yaml") {
        fmt::print("---\n{}", json::write_yaml(json::Value(object)));
      }
    }
  }
  if (options.output == "json") {
    fmt::print("{}", json::write_pretty(json::Value(std::move(objects))));
  }
  return rendered.ok ? 0 : 1;
}

}  // namespace llmd::cli
