// Which tools a chat request lets the model call, and how they are told from text.
#pragma once

#include "engine/server/requests.h"
#include "engine/server/served_model.h"
#include "engine/server/tool_calls.h"

namespace llmd::engine {

// 400 for a choice that does not fit the tools or the server; 501 for forced calls of a simulated model.
Api<ToolForm> tool_form(const ChatRequest& request, const ServedModel& model);
// What a forced answer must match; null where the model writes what it likes.
json::Value tool_schema(const ToolForm& form, const ChatRequest& request);

}  // namespace llmd::engine
