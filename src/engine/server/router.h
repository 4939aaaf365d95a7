// Which handler answers a request, after the checks every request goes through: path prefix, API key, method,
// content type, readiness. Counts and logs every request.
#pragma once

#include <memory>

#include "engine/server/context.h"
#include "http/server.h"

namespace llmd::engine {

// The context outlives the handler.
http::Handler make_handler(Context& context);

}  // namespace llmd::engine
