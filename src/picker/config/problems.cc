#include "picker/config/problems.h"

#include <fmt/format.h>

#include "json/yaml.h"
#include "picker/plan.h"

namespace llmd::picker {

Problem problem_at(std::string path, std::string message, std::string hint) {
  return {std::move(path), std::move(message), std::move(hint), false};
}

Result<void> settle_problems(std::span<const Problem> problems, Configuration& configuration,
                             const LoadOptions& options, CheckReport* report) {
  std::optional<Error> first;
  for (const Problem& problem : problems) {
    const bool both = !configuration.within.empty() && !problem.path.empty();
    const std::string path = configuration.within + (both ? "." : "") + problem.path;
    Error error = invalid_argument("{}: {}{}{}", configuration.place(problem.path), path,
                                   path.empty() ? "" : ": ", problem.message);
    error.advice = problem.hint;
    if (problem.unknown_name && configuration.older_group && !options.strict) {
      configuration.warnings.push_back(error.text());
    } else if (report != nullptr) {
      report->errors.push_back(error.text());
    } else if (!first) {
      first = std::move(error);
    }
  }
  if (first) {
    return std::unexpected(std::move(*first));
  }
  return {};
}

namespace {

CheckReport check(Result<Configuration> configuration, const LoadOptions& options) {
  CheckReport report;
  if (!configuration) {
    report.errors.push_back(configuration.error().text());
    return report;
  }
  const auto plan = build_plan(std::move(*configuration), {.load = options, .report = &report});
  if (!plan) {
    if (report.errors.empty()) {
      report.errors.push_back(plan.error().text());
    }
  } else {
    report.warnings = (*plan)->configuration.warnings;
  }
  return report;
}

}  // namespace

CheckReport check_configuration(std::string_view text, std::string_view source_name, LoadOptions options) {
  options.strict = true;
  return check(parse_configuration(text, source_name, options), options);
}

CheckReport check_configuration(const json::YamlDocument& document, std::string_view at,
                                LoadOptions options) {
  options.strict = true;
  return check(parse_configuration(document, at, options), options);
}

}  // namespace llmd::picker
