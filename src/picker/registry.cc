#include "picker/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "picker/datalayer/sources.h"
#include "picker/plugins/active_request_scorer.h"
#include "picker/plugins/admitters.h"
#include "picker/plugins/agent_identity.h"
#include "picker/plugins/approximate_prefix_producer.h"
#include "picker/plugins/attribute_plugins.h"
#include "picker/plugins/attribute_reporter.h"
#include "picker/plugins/burst_prefix_producer.h"
#include "picker/plugins/context_length.h"
#include "picker/plugins/deciders.h"
#include "picker/plugins/detectors.h"
#include "picker/plugins/disagg_handlers.h"
#include "picker/plugins/encoder_cache.h"
#include "picker/plugins/flow_policies.h"
#include "picker/plugins/header_label.h"
#include "picker/plugins/inflight_load_producer.h"
#include "picker/plugins/kv_cache_scorer.h"
#include "picker/plugins/label_filters.h"
#include "picker/plugins/latency_plugins.h"
#include "picker/plugins/legacy_filters.h"
#include "picker/plugins/load_scorers.h"
#include "picker/plugins/lora_affinity.h"
#include "picker/plugins/max_score_picker.h"
#include "picker/plugins/multicluster.h"
#include "picker/plugins/no_hit_lru_scorer.h"
#include "picker/plugins/p2p_source.h"
#include "picker/plugins/parsers.h"
#include "picker/plugins/precise_prefix_producer.h"
#include "picker/plugins/predicted_latency.h"
#include "picker/plugins/prefix_cache_affinity_filter.h"
#include "picker/plugins/prefix_cache_scorer.h"
#include "picker/plugins/profile_handlers.h"
#include "picker/plugins/queue_scorer.h"
#include "picker/plugins/random_picker.h"
#include "picker/plugins/rollout_screener.h"
#include "picker/plugins/session_affinity.h"
#include "picker/plugins/single_profile_handler.h"
#include "picker/plugins/testing_plugins.h"
#include "picker/plugins/token_producer.h"
#include "picker/plugins/topology.h"
#include "picker/plugins/usage_limits.h"

namespace llmd::picker {

std::span<const PluginType> plugin_types() {
  using enum Stability;
  static constexpr PluginType kTypes[] = {
      {"active-request-scorer", make_active_request_scorer},
      {"agent-identity", make_agent_identity, Alpha},
      {"always-disagg-multimodal-decider", make_always_disagg_multimodal_decider},
      {"always-disagg-pd-decider", make_always_disagg_pd_decider},
      {"anthropic-parser", make_parser},
      {"approx-prefix-cache-producer", make_approximate_prefix_producer},
      {"burst-prefix-cache-producer", make_burst_prefix_producer, Alpha},
      {"by-label", make_by_label, Beta, "use label-selector-filter"},
      {"by-label-selector", make_label_selector_filter, Beta, "use label-selector-filter"},
      {"concurrency-detector", make_concurrency_detector},
      {"context-length-aware", make_context_length_aware},
      {"core-metrics-extractor", make_core_metrics_extractor},
      {"data-parallel-profile-handler", make_data_parallel_profile_handler},
      {"dcgm-data-source", make_dcgm_source, Alpha},
      {"dcgm-extractor", make_dcgm_extractor, Alpha},
      {"decision-tree-filter", make_decision_tree_filter, Beta, "use filters in a profile"},
      {"decode-filter", make_decode_filter},
      {"destination-endpoint-served-verifier", make_destination_endpoint_served_verifier},
      {"disagg-headers-handler", make_disagg_headers_handler, Beta,
       "disagg-profile-handler sets the headers itself"},
      {"disagg-profile-handler", make_disagg_profile_handler},
      {"disaggregatedset-rollout-screener", make_rollout_screener, Alpha},
      {"edf-ordering-policy", make_edf_ordering},
      {"encode-filter", make_encode_filter},
      {"endpoint-attribute-filter", make_endpoint_attribute_filter, Alpha},
      {"endpoint-attribute-scorer", make_endpoint_attribute_scorer, Alpha},
      {"endpoint-notification-source", make_endpoint_source},
      {"fcfs-ordering-policy", make_fcfs_ordering},
      {"file-discovery", make_file_discovery},
      {"global-strict-fairness-policy", make_global_strict_fairness},
      {"header-based-testing-filter", make_header_based_testing_filter},
      {"header-label-affinity-scorer", make_header_label_affinity_scorer, Alpha},
      {"header-label-filter", make_header_label_filter, Ours},
      {"header-profile-handler", make_header_profile_handler, Alpha},
      {"inflight-load-producer", make_inflight_load_producer},
      {"k8s-notification-source", make_kubernetes_source},
      {"kv-cache-scorer", make_kv_cache_scorer, Beta, "use kv-cache-utilization-scorer"},
      {"kv-cache-utilization-scorer", make_kv_cache_scorer},
      {"label-selector-filter", make_label_selector_filter},
      {"latency-scorer", make_latency_scorer},
      {"latency-slo-admitter", make_latency_slo_admitter},
      {"least-kv-cache-filter", make_least_kv_cache_filter, Beta, "use kv-cache-utilization-scorer"},
      {"least-queue-filter", make_least_queue_filter, Beta, "use queue-scorer"},
      {"load-aware-scorer", make_load_aware_scorer},
      {"lora-affinity-filter", make_lora_affinity_filter, Beta, "use lora-affinity-scorer"},
      {"lora-affinity-scorer", make_lora_affinity_scorer},
      {"low-queue-filter", make_low_queue_filter, Beta, "use utilization-filter"},
      {"max-score-picker", make_max_score_picker},
      {"metrics-data-source", make_metrics_source},
      {"mm-embeddings-cache-producer", make_mm_embeddings_producer},
      {"mm-embeddings-cache-scorer", make_mm_embeddings_scorer},
      {"model-owner-filter", make_model_owner_filter, Ours},
      {"model-server-protocol-metrics", make_core_metrics_extractor, Beta, "use core-metrics-extractor"},
      {"model-server-protocol-models", make_passive_extractor, Beta, "use models-data-extractor"},
      {"models-data-extractor", make_passive_extractor},
      {"models-data-source", make_models_source},
      {"multicluster-approx-prefix-cache-producer", make_approximate_prefix_producer, Alpha},
      {"multicluster-file-discovery", make_file_discovery, Alpha},
      {"multicluster-kv-cache-utilization-scorer", make_multicluster_kv_scorer, Alpha},
      {"multicluster-metrics-data-source", make_multicluster_source, Alpha},
      {"multicluster-metrics-extractor", make_multicluster_extractor, Alpha},
      {"multicluster-prefix-cache-scorer", make_prefix_cache_scorer, Alpha},
      {"multicluster-queue-scorer", make_multicluster_queue_scorer, Alpha},
      {"multicluster-session-affinity-filter", make_session_affinity_filter, Alpha},
      {"no-hit-lru-scorer", make_no_hit_lru_scorer},
      {"openai-parser", make_parser},
      {"p2p-source-producer", make_p2p_source_producer, Alpha},
      {"passthrough-parser", make_parser},
      {"pd-profile-handler", make_pd_profile_handler, Beta, "use disagg-profile-handler"},
      {"precise-prefix-cache-producer", make_precise_prefix_producer},
      {"precise-prefix-cache-scorer", make_precise_prefix_scorer, Beta,
       "use precise-prefix-cache-producer and prefix-cache-scorer"},
      {"predicted-latency-producer", make_predicted_latency_producer},
      {"predicted-latency-scorer", make_predicted_latency_scorer, Beta,
       "use predicted-latency-producer and latency-scorer"},
      {"prefill-filter", make_prefill_filter},
      {"prefill-header-handler", make_disagg_headers_handler, Beta,
       "disagg-profile-handler sets the headers itself"},
      {"prefix-based-pd-decider", make_prefix_based_pd_decider},
      {"prefix-cache-affinity-filter", make_prefix_cache_affinity_filter},
      {"prefix-cache-scorer", make_prefix_cache_scorer},
      {"priority-holdback-policy", make_priority_holdback, Alpha},
      {"probabilistic-admitter", make_probabilistic_admitter},
      {"program-aware-fairness", make_program_aware_fairness},
      {"queue-scorer", make_queue_scorer},
      {"random-picker", make_random_picker},
      {"request-attribute-reporter", make_request_attribute_reporter},
      {"round-robin-fairness-policy", make_round_robin_fairness},
      {"running-requests-size-scorer", make_running_scorer},
      {"session-affinity-filter", make_session_affinity_filter, Alpha},
      {"session-affinity-scorer", make_session_affinity_scorer},
      {"session-id-producer", make_session_id_producer},
      {"sglanghttp-parser", make_parser},
      {"single-profile-handler", make_single_profile_handler},
      {"slo-aware-profile-handler", make_slo_aware_profile_handler, Beta, "use latency-scorer"},
      {"slo-aware-routing", make_predicted_latency_scorer, Beta,
       "use predicted-latency-producer and latency-scorer"},
      {"slo-deadline-ordering-policy", make_slo_deadline_ordering},
      {"slo-headroom-tier-filter", make_slo_headroom_tier_filter},
      {"soft-reflective-ceiling-policy", make_soft_reflective_ceiling, Alpha},
      {"static-usage-limit-policy", make_static_usage_limit},
      {"token-load-scorer", make_token_load_scorer},
      {"token-producer", make_token_producer},
      {"tokenizer", make_token_producer, Beta, "use token-producer"},
      {"topology-affinity-filter", make_topology_affinity_filter, Alpha},
      {"topology-affinity-scorer", make_topology_affinity_scorer, Alpha},
      {"topology-extractor", make_topology_extractor, Alpha},
      {"utilization-detector", make_utilization_detector},
      {"utilization-filter", make_utilization_filter, Alpha},
      {"vertexai-parser", make_parser},
      {"vllmgrpc-parser", make_parser},
      {"vllmhttp-parser", make_parser},
      {"weighted-random-picker", make_weighted_random_picker},
  };
  return kTypes;
}

const PluginType* find_plugin_type(std::string_view type) {
  const auto types = plugin_types();
  const auto found = std::ranges::find(types, type, &PluginType::type);
  return found == types.end() ? nullptr : &*found;
}

PrefixColumns PluginSetup::prefix_columns(std::string_view producer) {
  const std::string prefix = fmt::format("prefix/{}/", producer);
  return {names().column(prefix + "matched"), names().column(prefix + "cached"),
          names().scalar(prefix + "total"), names().scalar(prefix + "block_tokens")};
}

LatencyColumns PluginSetup::latency_columns(std::string_view producer) {
  const std::string prefix = fmt::format("latency/{}/", producer);
  return {names().column(prefix + "known"),         names().column(prefix + "ttft"),
          names().column(prefix + "tpot"),          names().column(prefix + "ttft_headroom"),
          names().column(prefix + "tpot_headroom"), names().column(prefix + "valid")};
}

PrefixColumns PluginSetup::required_prefix(const json::Object* parameters_for_producer) {
  std::string producer;
  parameters.read("prefixMatchInfoProducerName", producer);
  if (producer.empty()) {
    producer = kApproximateProducer;
  }
  require("prefix", producer, parameters_for_producer);
  return prefix_columns(producer);
}

LatencyColumns PluginSetup::required_latency() {
  std::string producer;
  parameters.read("latencyPredictionInfoProducerName", producer);
  if (producer.empty()) {
    producer = kLatencyProducer;
  }
  require("latency", producer, nullptr);
  return latency_columns(producer);
}

}  // namespace llmd::picker
