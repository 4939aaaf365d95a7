// What a service's optional wishes add to its pods: adapters, traces, tiers of the KV cache, devices claimed
// from the cluster.
#pragma once

#include <optional>

#include "json/value.h"
#include "llmisvc/render_pod.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Flags that load the adapters, in the words of the image's engine, before the user's own arguments. Nothing
// when the user passes such flags.
void add_adapters(json::Object& server, const Service& service);

// OpenTelemetry: flags of the engine, and OTEL_ variables. Nothing without spec.tracing.
void add_tracing(json::Object& server, const PodRequest& request);
// The same for the endpoint picker.
void add_scheduler_tracing(json::Object& picker, const Service& service);

// spec.kvCacheOffloading. The flag needs vLLM 0.22: it is left out where the image's tag names an older
// version or none, or the user configures a transfer of their own.
void add_cache_tiers(json::Object& pod, json::Object& server, const Workload& workload);

// Annotation serving.kserve.io/exp-dra-device-class: a claim for the container that the service names, else
// for `main`, and the template that claims are made from.
void add_device_claim(json::Object& pod, const Service& service);
std::optional<json::Object> device_claim_template(const Service& service);

}  // namespace llmd::llmisvc
