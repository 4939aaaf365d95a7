// Documents for one purpose each, and odd ones.
#include "picker/config/sample_configurations.h"

namespace llmd::picker {
namespace {

class SpecialConfigurations : public testing::TestWithParam<Sample> {};

TEST_P(SpecialConfigurations, LoadAndDecide) {
  expect_to_load_and_decide(GetParam());
}

constexpr Sample kSamples[] = {
    {"probabilistic admitter", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: probabilistic-admitter
- type: random-picker
- name: detector
  type: utilization-detector
  parameters: {queueDepthThreshold: 999999999, kvCacheUtilThreshold: 1.0}
saturationDetector: {pluginRef: detector}
)"},
    {"encode, prefill, decode", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: encode-filter
- type: prefill-filter
- type: decode-filter
- type: always-disagg-multimodal-decider
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 16, promptTokens: 0}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider, encode: always-disagg-multimodal-decider}}
schedulingProfiles:
- name: encode
  plugins: [{pluginRef: encode-filter}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
)"},
    {"GPU utilisation", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- name: dcgm-source
  type: dcgm-data-source
  parameters: {interval: 1s}
- type: dcgm-extractor
- type: endpoint-attribute-filter
  parameters: {attribute: GPUUtilization, producer: dcgm-extractor, fallbackOnEmpty: true, algorithm: {type: threshold, threshold: {operator: LessThan, value: 0.9}}}
- type: endpoint-attribute-scorer
  parameters: {attributeKey: GPUUtilization, producer: dcgm-extractor, algorithm: {type: linear_lower_is_better, normalization: {fixedRange: {min: 0, max: 1}}}}
- type: kv-cache-utilization-scorer
- type: decode-filter
- type: max-score-picker
dataLayer:
  sources: [{pluginRef: dcgm-source, extractors: [{pluginRef: dcgm-extractor}]}]
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: endpoint-attribute-filter}, {pluginRef: endpoint-attribute-scorer}, {pluginRef: kv-cache-utilization-scorer}, {pluginRef: max-score-picker}]
)",
     true},
    {"no-hit LRU", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: precise-prefix-cache-producer
  parameters: {tokenProcessorConfig: {blockSizeTokens: 5}, kvEventsConfig: {discoverPods: false}}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}
- type: no-hit-lru-scorer
- type: max-score-picker
)"},
    {"program aware", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: program-aware-fairness
- type: queue-scorer
- type: max-score-picker
- type: single-profile-handler
flowControl:
  defaultPriorityBand: {fairnessPolicyRef: program-aware-fairness}
)"},
    {"soft ceilings", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: ["flowControl=true"]
plugins:
- type: soft-reflective-ceiling-policy
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
flowControl: {usageLimitPolicyPluginRef: soft-reflective-ceiling-policy}
)",
     true},
    {"three bands", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: round-robin-fairness-policy
- type: concurrency-detector
  parameters: {maxConcurrency: 100}
- type: queue-scorer
flowControl:
  maxBytes: 10Gi
  maxRequests: 1k
  defaultRequestTTL: 30s
  saturationDetector: {pluginRef: concurrency-detector}
  priorityBands:
  - {priority: 100, maxBytes: 5Gi, fairnessPolicyRef: round-robin-fairness-policy}
  - {priority: 0}
  - {priority: -10, orderingPolicyRef: edf-ordering-policy}
)"},
    {"latency predictor", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: predicted-latency-producer
- name: strict
  type: prefix-cache-affinity-filter
  parameters: {affinityThreshold: 0.99, ttftSource: latencyPredictor, maxTTFTPenaltyMs: 5000}
- name: loose
  type: prefix-cache-affinity-filter
  parameters: {affinityThreshold: 0.80, ttftSource: latencyPredictor, maxTTFTPenaltyMs: 5000}
- type: slo-headroom-tier-filter
- type: latency-scorer
- type: weighted-random-picker
- type: latency-slo-admitter
schedulingProfiles:
- name: default
  plugins: [{pluginRef: predicted-latency-producer}, {pluginRef: strict}, {pluginRef: slo-headroom-tier-filter}, {pluginRef: loose}, {pluginRef: latency-scorer}, {pluginRef: weighted-random-picker}]
)"},
    {"seed: profiles by objective", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: slo-aware-routing
- type: slo-aware-profile-handler
- type: max-score-picker
schedulingProfiles:
- name: prefix
  plugins: [{pluginRef: prefix-cache-scorer}]
- name: default
  plugins: [{pluginRef: slo-aware-routing, weight: 0}, {pluginRef: queue-scorer}, {pluginRef: kv-cache-utilization-scorer}, {pluginRef: max-score-picker}]
- name: slo
  plugins: [{pluginRef: prefix-cache-scorer, weight: 0}, {pluginRef: slo-aware-routing}, {pluginRef: max-score-picker}]
)"},
    {"payload agnostic", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: passthrough-parser
- type: active-request-scorer
- type: session-affinity-filter
requestHandler: {parsers: [{pluginRef: passthrough-parser}]}
)",
     true},
    {"file discovery without a kind", R"(plugins:
- name: disc
  type: file-discovery
  parameters: {path: /tmp/endpoints.yaml, watchFile: true}
- type: kv-cache-utilization-scorer
- type: random-picker
- type: single-profile-handler
  parameters: {scorer: kv-cache-utilization-scorer, picker: random-picker}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: single-profile-handler}]
dataLayer: {discovery: {pluginRef: disc}}
)"},
    {"multi-cluster", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: multicluster-file-discovery
  parameters: {path: /tmp/clusters.yaml}
- type: multicluster-metrics-data-source
- type: multicluster-metrics-extractor
- type: multicluster-session-affinity-filter
- type: multicluster-kv-cache-utilization-scorer
- type: multicluster-queue-scorer
- type: max-score-picker
- type: single-profile-handler
dataLayer:
  discovery: {pluginRef: multicluster-file-discovery}
  sources: [{pluginRef: multicluster-metrics-data-source, extractors: [{pluginRef: multicluster-metrics-extractor}]}]
)",
     true},
    {"inline thresholds of 1.1", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
saturationDetector: {queueDepthThreshold: 10, kvCacheUtilThreshold: 0.9, metricsStalenessThreshold: 300ms}
)"},
    {"nothing but random", "plugins: []\n"},
    {"owner and header", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: model-owner-filter
- type: header-label-filter
  parameters: {headerName: X-Team, labelKey: team}
- type: queue-scorer
)"},
};
INSTANTIATE_TEST_SUITE_P(All, SpecialConfigurations, testing::ValuesIn(kSamples));

}  // namespace
}  // namespace llmd::picker
