// Errors as clients of OpenAI's API expect them: {"error":{"message","type","param","code"}} where code is
// the HTTP status, as vLLM has it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace llmd::openai {

// The name that goes with a status: BadRequestError, NotFoundError, RateLimitError, ...
std::string_view error_type(int status);

// `param` empty: null.
std::string error_body(int status, std::string_view message, std::string_view param = {});
// Message with its hint; the status comes from the one table in base.
std::string error_body(const Error& error, std::string_view param = {});

// The same as one server-sent event, for a stream that has begun: "data: {...}\n\n".
std::string error_event(int status, std::string_view message);

}  // namespace llmd::openai
