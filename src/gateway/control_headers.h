// Headers that steer routing and engines. Between our own parts they are orders; from outside they would let
// a client choose where a request goes, and so are taken off every request that arrives. Pure; any thread.
#pragma once

#include "http/message.h"

namespace llmd::gateway {

// Always removed: destination, subset, served, prefiller, encoder, data-parallel, cache-source,
// dropped-reason and test-only headers, in every spelling of llm-d and GIE. Removed unless `trusted`:
// objective, fairness, SLO, prediction and model-rewrite headers.
void strip_control_headers(http::Headers& headers, bool trusted);

// Would strip_control_headers() remove it?
bool is_control_header(std::string_view name, bool trusted);

}  // namespace llmd::gateway
