#include "picker/check_state.h"

#include "picker/framework.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

json::Value check_state(const kvcache::PrefixCheck::Stats& stats) {
  const std::string_view state = kvcache::to_string(stats.state);
  return json::Value{{"state", boost::json::string_view(state.data(), state.size())},
                     {"samples", stats.samples},
                     {"agreed", stats.agreed},
                     {"missing", stats.missing},
                     {"less", stats.less},
                     {"unforeseen", stats.unforeseen},
                     {"predictedTokens", stats.predicted_tokens},
                     {"reportedTokens", stats.reported_tokens},
                     {"heals", stats.heals},
                     {"suspectedBlockSize", stats.suspected_block_size},
                     {"trust", stats.trust}};
}

void write_check(Page& page, const Plugin& plugin, const kvcache::PrefixCheck& check) {
  using State = kvcache::PrefixCheck::State;
  const auto summary = check.summary();
  const metrics::Label name{"plugin_name", plugin.name};
  const std::pair<std::string_view, std::uint64_t> outcomes[] = {{"agreed", summary.agreed},
                                                                 {"missing", summary.missing},
                                                                 {"less", summary.less},
                                                                 {"unforeseen", summary.unforeseen}};
  for (const auto& [outcome, count] : outcomes) {
    page.counter("llmd_prefix_predictions_total",
                 "Cached tokens as predicted, compared with what the engine reported.",
                 {name, {"outcome", outcome}}, static_cast<double>(count));
  }
  page.counter("llmd_prefix_heals_total",
               "Times an endpoint's cache was forgotten or asked for again because it was not as predicted.",
               {name}, static_cast<double>(summary.heals));
  for (const State state : {State::Trusted, State::Healing, State::Distrusted, State::Blind}) {
    page.gauge("llmd_prefix_endpoints", "Endpoints by what their predictions are worth.",
               {name, {"state", kvcache::to_string(state)}},
               summary.endpoints[static_cast<std::size_t>(state)]);
  }
  page.gauge("llmd_prefix_other_block_sizes", "Endpoints whose reports do not fit the configured block size.",
             {name}, summary.other_block_sizes);
}

}  // namespace llmd::picker
