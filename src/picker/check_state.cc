#include "picker/check_state.h"

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

}  // namespace llmd::picker
