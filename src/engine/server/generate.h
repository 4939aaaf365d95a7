// POST /v1/completions and /v1/chat/completions: from the body to the last byte of the answer.
#pragma once

#include "engine/server/call.h"

namespace llmd::engine {

Task<void> handle_completions(Call& call);
Task<void> handle_chat_completions(Call& call);

}  // namespace llmd::engine
