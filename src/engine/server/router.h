// Which handler answers a request, after the checks every request goes through: path prefix, API key, method,
// content type, readiness. Counts and logs every request.
#pragma once

#include <memory>

#include "engine/server/context.h"
#include "http/server.h"

namespace llmd::engine {

// The context outlives the handler.
http::Handler make_handler(Context& context);

// Of all routes; one that answers two methods stands there twice.
std::vector<std::string_view> route_paths();

}  // namespace llmd::engine
