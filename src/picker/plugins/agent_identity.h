// agent-identity: requests of a coding agent's session are one flow for fairness, where no header says
// another one. The session is the first header with a value of additionalSessionHeaders,
// x-claude-code-session-id, x-session-affinity, session-id and session_id.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "picker/registry.h"

namespace llmd::picker {

class AgentIdentity final : public Plugin {
 public:
  explicit AgentIdentity(std::vector<std::string> headers) : headers_(std::move(headers)) {}
  std::optional<std::string_view> of(const HeaderView& headers) const;

 private:
  const std::vector<std::string> headers_;  // lower case, the most telling first
};

Result<std::unique_ptr<Plugin>> make_agent_identity(PluginSetup& setup);

}  // namespace llmd::picker
