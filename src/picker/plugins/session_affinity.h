// session-affinity-scorer, session-affinity-filter: requests of a session stay where the session began.
//   strategy encoded_endpoint_header (default): the answer's x-session-token names the endpoint, and the
//   client sends it back; session_id: a header or cookie names the session, and the picker remembers its
//   endpoint until it was idle for evictionTtlSeconds or has left.
//   profileName: prefill or encode, to stay with that stage's endpoint; otherwise it is the one that answers.
// session-id-producer: a header or cookie that others may name as their source.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_session_affinity_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_session_affinity_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_session_id_producer(PluginSetup& setup);

}  // namespace llmd::picker
