// Runs a request handler so that its bugs end its request and nothing else. Private to http.
#pragma once

#include "http/server.h"

namespace llmd::http {

// Exceptions other than cancellation are logged.
Task<void> run_guarded(const Handler& handler, Exchange& exchange);

}  // namespace llmd::http
