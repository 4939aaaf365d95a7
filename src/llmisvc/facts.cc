#include "llmisvc/facts.h"

#include <fmt/format.h>

#include "json/path.h"

namespace llmd::llmisvc {

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
  }
}

}  // namespace llmd::llmisvc
