#include "picker/plugins/prefix_cache_scorer.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class PrefixCacheScorer final : public Scorer {
 public:
  PrefixCacheScorer(PrefixColumns prefix, double length_weight, double scale)
      : prefix_(prefix), length_weight_(length_weight), scale_(scale) {}

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const double total = cycle.scalar(prefix_.total);
    if (total <= 0) {
      return;
    }
    const double block = cycle.scalar(prefix_.block_tokens);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double matched = cycle.at(prefix_.matched, rows[i]);
      if (matched <= 0) {  // most of them
        continue;
      }
      const double length = std::min(1.0, matched * block / scale_);
      scores[i] = length_weight_ * length * length + (1 - length_weight_) * matched / total;
    }
  }

 private:
  const PrefixColumns prefix_;
  const double length_weight_;
  const double scale_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_prefix_cache_scorer(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  double weight = 0;
  double scale = 8192;
  parameters.read("matchLengthWeight", weight);
  parameters.read("matchLengthScaleTokens", scale);
  if (weight < 0 || weight > 1) {
    parameters.reject("matchLengthWeight", "must be between 0 and 1");
  }
  if (scale <= 0) {
    parameters.reject("matchLengthScaleTokens", "must be positive");
  }
  int mode = 0;
  parameters.read_choice("mode", mode, {"estimate", "cache_tracking"});
  static constexpr std::string_view kOfApproximate[] = {"autoTune",
                                                        "blockSizeTokens",
                                                        "blockSize",
                                                        "hashBlockSize",
                                                        "maxPrefixBlocksToMatch",
                                                        "maxPrefixTokensToMatch",
                                                        "lruCapacityPerServer"};
  static constexpr std::string_view kOfPrecise[] = {"indexerConfig", "tokenProcessorConfig", "kvEventsConfig",
                                                    "speculativeIndexing", "speculativeTTL"};
  json::Object forwarded;
  const auto forward = [&](std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
      if (const json::Value* value = parameters.value(name)) {
        forwarded[boost::json::string_view(name.data(), name.size())] = *value;
      }
    }
  };
  if (mode == 0) {
    forward(kOfApproximate);
    return std::make_unique<PrefixCacheScorer>(setup.required_prefix(&forwarded), weight, scale);
  }
  forward(kOfPrecise);
  setup.require("prefix", kPreciseProducer, &forwarded);
  return std::make_unique<PrefixCacheScorer>(setup.prefix_columns(kPreciseProducer), weight, scale);
}

}  // namespace llmd::picker
