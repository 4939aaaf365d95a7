#include "picker/plugins/agent_identity.h"

#include "base/strings.h"

namespace llmd::picker {

std::optional<std::string_view> AgentIdentity::of(const HeaderView& headers) const {
  for (const std::string& name : headers_) {
    if (const auto value = headers.find(name); value && !trim(*value).empty()) {
      return trim(*value);
    }
  }
  return std::nullopt;
}

Result<std::unique_ptr<Plugin>> make_agent_identity(PluginSetup& setup) {
  std::vector<std::string> headers;
  setup.parameters.read("additionalSessionHeaders", headers);
  for (std::string& name : headers) {
    name = to_lower(name);
  }
  for (const char* name : {"x-claude-code-session-id", "x-session-affinity", "session-id", "session_id"}) {
    headers.emplace_back(name);
  }
  return std::make_unique<AgentIdentity>(std::move(headers));
}

}  // namespace llmd::picker
