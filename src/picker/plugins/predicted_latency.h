// predicted-latency-producer: how long each endpoint would take to the first token and between tokens, learnt
// from requests as they end (latency_model.h), in this process. Headroom is the request's objective
// (x-llm-d-slo-ttft-ms, x-llm-d-slo-tpot-ms, and the older names) minus the prediction; without an objective
// it is minus the prediction, so that the fastest comes first. useEncoderCacheFeatures: what has to be
// encoded of a request's media counts, too, as mm-embeddings-cache-producer knows it. slo-aware-routing,
// predicted-latency-scorer: producer and latency-scorer in one plugin, for older documents.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_predicted_latency_producer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_predicted_latency_scorer(PluginSetup& setup);

}  // namespace llmd::picker
