#include "llmisvc/facts.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"

namespace llmd::llmisvc {

std::optional<ModelRouting> parse_model_routing(std::string_view text) {
  if (equals_ignoring_case(text, "enabled")) {
    return ModelRouting::Enabled;
  }
  if (equals_ignoring_case(text, "disabled")) {
    return ModelRouting::Disabled;
  }
  return equals_ignoring_case(text, "forced") ? std::optional(ModelRouting::Forced) : std::nullopt;
}

void remember(Facts& facts, const json::Object& object) {
  const json::Value value(object);
  const std::string key =
      fmt::format("{}/{}", json::string_at(value, "metadata.namespace").value_or("default"),
                  json::string_at(value, "metadata.name").value_or(""));
  const std::string_view kind = json::string_at(value, "kind").value_or("");
  if (kind == "ServiceAccount") {
    facts.service_accounts[key] = object;
  } else if (kind == "Secret") {
    facts.secrets[key] = object;
  } else if (kind == "Gateway" &&
             json::string_at(value, fmt::format("metadata.annotations[{}]", kModelRouting)) == "false") {
    facts.gateways_without_model_routing.insert(key);
  }
}

}  // namespace llmd::llmisvc
