#include "picker/plugins/attribute_reporter.h"

#include "base/strings.h"

namespace llmd::picker {
namespace {

// "usage.total_tokens", "2 * usage.prompt_tokens", "usage.completion_tokens * 0.5".
std::optional<UsageReporter::Term> parse_term(std::string_view text) {
  UsageReporter::Term term;
  bool named = false;
  for (const std::string_view part : split(text, '*')) {
    const std::string_view factor = trim(part);
    if (const auto number = parse_number(factor)) {
      term.factor *= *number;
    } else if (factor.starts_with("usage.") && !named) {
      term.field = factor.substr(6);
      named = true;
    } else {
      return std::nullopt;
    }
  }
  return term;
}

}  // namespace

double UsageReporter::value(const Usage& usage) const {
  const auto field = [&](std::string_view name) -> double {
    const double prompt = static_cast<double>(usage.prompt_tokens.value_or(0));
    const double completion = static_cast<double>(usage.completion_tokens.value_or(0));
    if (name == "prompt_tokens" || name == "input_tokens") {
      return prompt;
    }
    if (name == "completion_tokens" || name == "output_tokens") {
      return completion;
    }
    return name == "cached_tokens" ? static_cast<double>(usage.cached_tokens.value_or(0))
                                   : prompt + completion;
  };
  double sum = 0;
  for (const Term& term : terms_) {
    sum += term.factor * (term.field.empty() ? 1 : field(term.field));
  }
  return sum;
}

Result<std::unique_ptr<Plugin>> make_request_attribute_reporter(PluginSetup& setup) {
  const auto items = setup.parameters.objects("attributes");
  if (items.size() != 1) {
    return invalid_argument("attributes: exactly one attribute is required");
  }
  std::string space = "envoy.lb";
  std::string name;
  std::string expression;
  Parameters& key = items.front()->object("key");
  key.read("namespace", space);
  key.read("name", name);
  items.front()->read("expression", expression);
  items.front()->accept({"condition"});
  if (name.empty()) {
    key.reject("name", "is required");
  }
  std::vector<UsageReporter::Term> terms;
  for (const std::string_view part : split(expression, '+')) {
    if (const auto term = parse_term(trim(part))) {
      terms.push_back(*term);
    } else {
      items.front()->reject("expression", fmt::format("\"{}\" is no term; expected for instance "
                                                      "usage.total_tokens or 2 * usage.prompt_tokens",
                                                      part));
    }
  }
  return std::make_unique<UsageReporter>(std::move(space), std::move(name), std::move(terms));
}

}  // namespace llmd::picker
