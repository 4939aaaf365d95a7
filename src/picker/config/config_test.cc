// Which documents load, and what is said about those that do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

using testing::HasSubstr;

struct Sample {
  std::string_view name;
  std::string_view text;
  bool experimental = false;
};

void PrintTo(const Sample& sample, std::ostream* out) {
  *out << sample.name;
}

constexpr std::string_view kOlder =
    "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n";

class SampleConfigurations : public testing::TestWithParam<Sample> {};

TEST_P(SampleConfigurations, LoadAndDecide) {
  const Sample& sample = GetParam();
  auto picker =
      Picker::from_config(sample.text, sample.name, {.load = {.allow_experimental = true, .seed = 1}});
  ASSERT_TRUE(picker) << picker.error().text();
  std::vector<Endpoint> endpoints;
  for (const char* role : {"prefill", "decode", "encode"}) {
    endpoints.push_back({.address = {"10.0.0.1", static_cast<std::uint16_t>(8000 + endpoints.size())},
                         .name = role,
                         .labels = {{"llm-d.ai/role", role}, {"inference-role", role}}});
  }
  (*picker)->update(endpoints);
  const auto decision = (*picker)->pick({.id = "r", .model = "m", .prompt_bytes = 4000});
  EXPECT_TRUE(decision) << decision.error().message;
  if (!sample.experimental) {
    EXPECT_TRUE(Picker::from_config(sample.text, sample.name)) << "needs no flag";
  } else {
    const auto refused = Picker::from_config(sample.text, sample.name);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("--allow-experimental-plugins"));
  }
}

constexpr Sample kSamples[] = {
    {"default", ""},
    {"v0.2 prefill and decode", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: prefill-header-handler
- type: prefix-cache-scorer
  parameters: {hashBlockSize: 64, maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 31250}
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: pd-profile-handler
  parameters: {threshold: 10, hashBlockSize: 64}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: max-score-picker}, {pluginRef: prefix-cache-scorer, weight: 2}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: max-score-picker}, {pluginRef: prefix-cache-scorer, weight: 2}]
)"},
    {"v0.2 tracking", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: prefix-cache-scorer
  parameters:
    mode: cache_tracking
    indexerConfig:
      tokenProcessorConfig: {blockSize: 64, hashSeed: "42"}
      kvBlockIndexConfig: {enableMetrics: true}
- type: kv-cache-scorer
- type: queue-scorer
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins: [{pluginRef: prefix-cache-scorer, weight: 3}, {pluginRef: kv-cache-scorer, weight: 1}, {pluginRef: queue-scorer}, {pluginRef: max-score-picker}]
)"},
    {"v0.3 precise", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: single-profile-handler
- type: decode-filter
- type: precise-prefix-cache-scorer
  parameters:
    kvEventsConfig: {zmqEndpoint: "", topicFilter: "kv@", concurrency: 4}
    indexerConfig:
      prefixStoreConfig: {cacheSize: 500000, blockSize: 256}
      tokenProcessorConfig: {blockSize: 64, hashSeed: "42"}
      kvBlockIndexConfig: {inMemoryConfig: {size: 100000000, podCacheSize: 10}, enableMetrics: true}
      tokenizersPoolConfig: {workersCount: 8, huggingFaceToken: "x", tokenizersCacheDir: /tmp/tokenizers}
- type: kv-cache-scorer
- type: queue-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: precise-prefix-cache-scorer, weight: 2.0}, {pluginRef: kv-cache-scorer, weight: 1.0}, {pluginRef: queue-scorer, weight: 1.0}, {pluginRef: max-score-picker}]
)"},
    {"v0.5 filters", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: low-queue-filter
  parameters: {threshold: 128}
- type: lora-affinity-filter
  parameters: {threshold: 0.999}
- type: least-queue-filter
- type: least-kv-cache-filter
- name: low-latency
  type: decision-tree-filter
  parameters: {current: low-queue-filter, nextOnSuccess: lora-affinity-filter, nextOnFailure: least-queue-filter}
- type: random-picker
  parameters: {maxNumOfEndpoints: 1}
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins: [{pluginRef: low-latency}, {pluginRef: least-kv-cache-filter}, {pluginRef: random-picker}]
)"},
    {"v0.8 prefill and decode", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
featureGates: [prepareDataPlugins]
plugins:
- type: disagg-headers-handler
- type: prefix-cache-scorer
  parameters: {maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 31250}
- type: queue-scorer
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 16}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: max-score-picker}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: queue-scorer, weight: 1}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: max-score-picker}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: queue-scorer, weight: 1}]
)"},
    {"v0.8 precise", R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: tokenizer
  parameters: {modelName: m, udsTokenizerConfig: {socketFile: /tmp/tokenizer/tokenizer-uds.socket}}
- type: endpoint-notification-source
- type: metrics-data-source
- type: core-metrics-extractor
- type: precise-prefix-cache-scorer
  parameters:
    tokenProcessorConfig: {blockSize: 64, hashSeed: "42"}
    kvEventsConfig: {topicFilter: "kv@", concurrency: 4, discoverPods: true, podDiscoveryConfig: {socketPort: 5557}}
    indexerConfig: {kvBlockIndexConfig: {enableMetrics: true, metricsLoggingInterval: 60000000000}}
- type: decode-filter
- type: max-score-picker
dataLayer:
  sources:
  - {pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}
  - {pluginRef: endpoint-notification-source, extractors: [{pluginRef: precise-prefix-cache-scorer}]}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: precise-prefix-cache-scorer, weight: 2}, {pluginRef: max-score-picker}]
)"},
    {"data parallel", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: prefix-cache-scorer
- type: decode-filter
- type: max-score-picker
- type: data-parallel-profile-handler
  parameters: {primaryPort: 8000}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: max-score-picker}, {pluginRef: prefix-cache-scorer, weight: 2}]
)"},
    {"burst prefix", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: token-producer
  parameters: {modelName: m, vllm: {url: "http://localhost:8000"}}
- type: burst-prefix-cache-producer
  parameters: {windowDurationMs: 100}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: burst-prefix-cache-producer}
- type: load-aware-scorer
- type: decode-filter
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: load-aware-scorer}, {pluginRef: max-score-picker}]
)",
     true},
    {"precise with explicit wiring", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: token-producer
  parameters: {modelName: m, vllm: {url: "http://localhost:8000"}}
- type: endpoint-notification-source
- type: metrics-data-source
- type: core-metrics-extractor
- type: precise-prefix-cache-producer
  parameters: {indexerConfig: {kvBlockIndexConfig: {enableMetrics: true}}, speculativeIndexing: true}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}
- type: kv-cache-utilization-scorer
- type: queue-scorer
- type: decode-filter
- type: max-score-picker
- type: single-profile-handler
dataLayer:
  sources:
  - {pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}
  - {pluginRef: endpoint-notification-source, extractors: [{pluginRef: precise-prefix-cache-producer}]}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: queue-scorer}, {pluginRef: max-score-picker}]
)"},
    {"encoder cache", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: mm-embeddings-cache-producer
  parameters: {cacheSizeInMB: 2048}
- type: mm-embeddings-cache-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins: [{pluginRef: mm-embeddings-cache-scorer}, {pluginRef: max-score-picker}]
)"},
    {"decider after handler", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: approx-prefix-cache-producer
  parameters: {maxPrefixTokensToMatch: 16384, lruCapacityPerServer: 31250}
- type: prefix-cache-scorer
- type: queue-scorer
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 16}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: max-score-picker}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer, weight: 2}, {pluginRef: max-score-picker}]
)"},
    {"topology", R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: topology-extractor
- type: topology-affinity-filter
  parameters: {minAffinity: zone}
- type: topology-affinity-scorer
- type: prefill-filter
- type: decode-filter
- type: max-score-picker
- type: always-disagg-pd-decider
- type: disagg-profile-handler
  parameters: {deciders: {prefill: always-disagg-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: topology-affinity-filter}, {pluginRef: topology-affinity-scorer}, {pluginRef: max-score-picker}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: max-score-picker}]
)",
     true},
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
INSTANTIATE_TEST_SUITE_P(All, SampleConfigurations, testing::ValuesIn(kSamples));

struct Mistake {
  std::string_view text;
  std::string_view said;
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.said;
}

class WrongConfigurations : public testing::TestWithParam<Mistake> {};

TEST_P(WrongConfigurations, AreRefusedWithPlaceAndCause) {
  const auto picker = Picker::from_config(GetParam().text, "x.yaml");
  ASSERT_FALSE(picker);
  EXPECT_THAT(picker.error().text(), HasSubstr(std::string(GetParam().said)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongConfigurations,
    testing::Values(
        Mistake{"plugins:\n- type: queue-scorer\n- type: queu-scorer\n",
                "x.yaml:3:3: plugins[1].type: unregistered plugin type 'queu-scorer' (did you mean "
                "'queue-scorer'?)"},
        Mistake{"plugins:\n- type: load-aware-scorer\n  parameters:\n    treshold: 3\n",
                "x.yaml:4:5: plugins[0].parameters.treshold: unknown parameter (did you mean 'threshold'?)"},
        Mistake{"plugins:\n- type: load-aware-scorer\n  parameters: {threshold: many}\n",
                "plugins[0].parameters.threshold: expected an integer, got a string"},
        Mistake{"kind: Pod\nplugins: []\n", "no kind \"Pod\""},
        Mistake{"apiVersion: v2\nplugins: []\n", "for version \"v2\""},
        Mistake{"pluggins: []\n", "pluggins: unknown field (did you mean 'plugins'?)"},
        Mistake{"plugins: []\nplugins: []\n", "duplicate key"},
        Mistake{"featureGates: [warp]\nplugins: []\n", "feature gate 'warp' is unknown"},
        Mistake{"featureGates: [flowControl=maybe]\nplugins: []\n", "expected true or false"},
        Mistake{"plugins: [{type: queue-scorer}, {type: queue-scorer}]\n", "'queue-scorer' is given twice"},
        Mistake{"plugins: [{name: a}]\n", "type: is missing"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a}, {name: a}]\n",
                "given twice"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a}, {name: b}]\n",
                "no profile handler configured"},
        Mistake{"plugins: [{type: single-profile-handler}]\nschedulingProfiles: [{name: a}, {name: b}]\n",
                "exactly one profile"},
        Mistake{"plugins: [{type: single-profile-handler}, {type: data-parallel-profile-handler}]\n",
                "multiple profile handlers"},
        Mistake{"plugins: [{type: random-picker}, {type: max-score-picker}]\nschedulingProfiles:\n- name: a\n"
                "  plugins: [{pluginRef: random-picker}, {pluginRef: max-score-picker}]\n",
                "second picker"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: "
                "queue}]}]\n",
                "the plugin 'queue' is not defined"},
        Mistake{"plugins: []\nsaturationDetector: {pluginRef: mine}\n", "the plugin 'mine' is not defined"},
        Mistake{"plugins: []\nfeatureGates: [flowControl]\nflowControl: {priorityBands: [{priority: 1}, "
                "{priority: 1}]}\n",
                "1 is given twice"},
        Mistake{"plugins: []\nfeatureGates: [flowControl]\nflowControl: {maxBytes: -1}\n",
                "must not be negative"},
        Mistake{"plugins: [{type: queue-scorer}]\ndataLayer: {injectDefaults: false}\n",
                "no default producer found for missing data key"},
        Mistake{"plugins: [{type: session-id-producer}]\n", "exactly one of headerName and cookieName"},
        Mistake{"plugins: [{type: by-label}]\n", "parameters.label: is required"},
        Mistake{"plugins: [{type: disagg-profile-handler, parameters: {deciders: {prefill: nobody}}}]\n",
                "unregistered plugin 'nobody'"},
        Mistake{"plugins: [{type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: mine}}]\n",
                "no default producer found"},
        Mistake{"plugins: []\ndataLayer: {crossReplicaSyncerPluginRef: x}\n",
                "no plugin that synchronises"}));

TEST(ConfigTest, UnknownParametersAreWarningsInTheOlderGroupAndErrorsInACheck) {
  const std::string text =
      std::string(kOlder) + "plugins:\n- type: load-aware-scorer\n  parameters: {treshold: 3}\n";
  const auto picker = Picker::from_config(text, "old.yaml");
  ASSERT_TRUE(picker) << picker.error().text();
  EXPECT_THAT((*picker)->plan().configuration.warnings,
              testing::Contains(HasSubstr("plugins[0].parameters.treshold: unknown parameter")));
  EXPECT_THAT(check_configuration(text, "old.yaml").errors, testing::Contains(HasSubstr("treshold")));
}

TEST(ConfigTest, ACheckReportsEveryMistake) {
  const auto report = check_configuration(
      "plugins:\n- type: queu-scorer\n- type: load-aware-scorer\n  parameters: {x: 1}\n- type: by-label\n",
      "c");
  EXPECT_EQ(report.errors.size(), 4) << testing::PrintToString(report.errors);
}

TEST(ConfigTest, ParametersOfThePrefixProducerMayStandAtItsScorer) {
  const auto picker = Picker::from_config(
      "plugins: [{type: prefix-cache-scorer, parameters: {lruCapacityPerServer: 7}}]\n", "x");
  ASSERT_TRUE(picker) << picker.error().text();
  EXPECT_NE((*picker)->plan().find("approx-prefix-cache-producer"), nullptr);
}

TEST(ConfigTest, EveryTypeIsRegisteredOnce) {
  std::set<std::string_view> seen;
  for (const PluginType& type : plugin_types()) {
    EXPECT_TRUE(seen.insert(type.type).second) << type.type;
  }
  EXPECT_TRUE(std::ranges::is_sorted(plugin_types(), {}, &PluginType::type));
}

}  // namespace
}  // namespace llmd::picker
