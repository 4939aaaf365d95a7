#include "picker/registry.h"

#include <algorithm>

#include "picker/plugins/active_request_scorer.h"
#include "picker/plugins/kv_cache_scorer.h"
#include "picker/plugins/max_score_picker.h"
#include "picker/plugins/queue_scorer.h"
#include "picker/plugins/single_profile_handler.h"

namespace llmd::picker {

std::span<const PluginType> plugin_types() {
  static constexpr PluginType kTypes[] = {
      {"active-request-scorer", make_active_request_scorer},
      {"kv-cache-scorer", make_kv_cache_scorer},
      {"kv-cache-utilization-scorer", make_kv_cache_scorer},
      {"max-score-picker", make_max_score_picker},
      {"queue-scorer", make_queue_scorer},
      {"single-profile-handler", make_single_profile_handler},
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
