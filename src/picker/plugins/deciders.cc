#include "picker/plugins/deciders.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class PrefixBasedDecider final : public Decider {
 public:
  PrefixBasedDecider(std::int64_t uncached, std::int64_t prompt, PrefixColumns prefix)
      : uncached_(uncached), prompt_(prompt), prefix_(prefix) {}

  bool wants_stage(const Cycle& cycle, std::optional<Row> decode) const override {
    const double tokens = static_cast<double>(cycle.request().prompt_tokens());
    if (uncached_ == 0 || !decode || tokens < static_cast<double>(std::max(prompt_, uncached_))) {
      return false;
    }
    const double cached = cycle.at(prefix_.cached, *decode) * cycle.scalar(prefix_.block_tokens);
    return tokens - cached >= static_cast<double>(uncached_);
  }

 private:
  const std::int64_t uncached_;
  const std::int64_t prompt_;
  const PrefixColumns prefix_;
};

class AlwaysDecider final : public Decider {
 public:
  bool wants_stage(const Cycle&, std::optional<Row>) const override { return true; }
};

class MultimodalDecider final : public Decider {
 public:
  bool wants_stage(const Cycle& cycle, std::optional<Row>) const override {
    return cycle.request().multimodal;
  }
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_prefix_based_pd_decider(PluginSetup& setup) {
  std::int64_t uncached = 0;
  std::int64_t prompt = 0;
  setup.parameters.read("nonCachedTokens", uncached);
  setup.parameters.read("promptTokens", prompt);
  for (const auto& [name, number] :
       {std::pair("nonCachedTokens", uncached), std::pair("promptTokens", prompt)}) {
    if (number < 0) {
      setup.parameters.reject(name, "must not be negative");
    }
  }
  return std::make_unique<PrefixBasedDecider>(uncached, prompt, setup.required_prefix());
}

Result<std::unique_ptr<Plugin>> make_always_disagg_pd_decider(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<AlwaysDecider>();
}

Result<std::unique_ptr<Plugin>> make_always_disagg_multimodal_decider(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<MultimodalDecider>();
}

}  // namespace llmd::picker
