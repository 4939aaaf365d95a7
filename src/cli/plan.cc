// `llmd plan FILE…`: pods, containers, GPUs, and what fits into their memory.
#include <boost/json.hpp>

#include "cli/memory_options.h"
#include "cli/offline.h"
#include "json/yaml.h"
#include "llmisvc/plan.h"

namespace llmd::cli {

Result<int> run_plan(Arguments arguments) {
  OfflineOptions options;
  MemoryOptions memory;
  Options command_line(
      "llmd plan",
      "Counts pods, containers and GPUs of services, and computes memory, KV tokens and concurrent "
      "requests where the model's sizes are known.");
  options.describe(command_line, {"text", "json"});
  memory.describe(command_line);
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(auto input, read_input(options));
  if (input.unreadable) {
    return std::unexpected(*input.unreadable);
  }
  LLMD_TRY(const auto question, memory.question(input.services));
  llmisvc::Findings findings = std::move(input.findings);
  boost::json::array plans;
  bool is_first = true;
  for (const json::YamlDocument& document : input.services) {
    auto compiled = llmisvc::compile(document.value.as_object(), input.facts);
    llmisvc::place_findings(compiled.findings, document);
    findings.insert(findings.end(), compiled.findings.begin(), compiled.findings.end());
    if (llmisvc::has_errors(compiled.findings)) {
      continue;
    }
    const auto plan = llmisvc::plan_of(compiled, question);
    if (options.output == "json") {
      plans.emplace_back(llmisvc::plan_as_json(plan));
    } else {
      fmt::print("{}{}", is_first ? "" : "\n", llmisvc::plan_as_text(plan));
    }
    is_first = false;
  }
  if (options.output == "json") {
    fmt::print("{}", json::write_pretty(json::Value(std::move(plans))));
  }
  print_findings(findings);
  return llmisvc::has_errors(findings) ? 1 : 0;
}

}  // namespace llmd::cli
