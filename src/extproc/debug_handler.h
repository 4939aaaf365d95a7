// What the picker's HTTP port answers: /metrics, /healthz, /debug, /debug/plugins/state,
// /debug/explain?id=… or ?last=…, /debug/explanations (for replay). What is below /debug tells about prompts
// and endpoints, so it answers loopback peers only (`kubectl port-forward` is one). Private to extproc.
#pragma once

#include <functional>

#include "http/server.h"
#include "metrics/registry.h"
#include "picker/picker.h"

namespace llmd::extproc {

// `describe` adds to what /debug says.
http::Handler debug_handler(const picker::Picker& picker, const metrics::Registry& registry,
                            std::function<void(json::Object&)> describe);

}  // namespace llmd::extproc
