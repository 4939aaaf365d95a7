#include "picker/plugins/inflight_load_producer.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "async/snapshot.h"
#include "picker/dumped_endpoints.h"

namespace llmd::picker {
namespace {

struct OutputEstimate {
  bool wanted = false;
  double ratio = 1.5;
  std::int64_t most = 0;
};

class InflightLoadProducer final : public Producer, public EndpointWatcher, public Inspectable {
 public:
  InflightLoadProducer(std::optional<PrefixColumns> prefix, Column uncached, OutputEstimate output)
      : prefix_(prefix), uncached_(uncached), output_(output) {}

  void produce(Cycle& cycle) const override {
    const double prompt = static_cast<double>(cycle.request().prompt_tokens());
    const double block = prefix_ ? cycle.scalar(prefix_->block_tokens) : 0;
    const double output = estimated_output(cycle.request(), prompt);
    const auto uncached = cycle.fill(uncached_);
    for (const Row row : cycle.candidates()) {
      const double cached = prefix_ ? cycle.at(prefix_->cached, row) * block : 0;
      uncached[row] = static_cast<float>(std::max(prompt - cached, 0.0) + output);
    }
  }

  void endpoints_changed(const EndpointSnapshot& snapshot) const override {
    endpoints_.store(std::make_shared<const std::vector<EndpointPtr>>(snapshot.endpoints));
  }

  // The busiest first.
  json::Value state() const override {
    struct Load {
      std::string_view endpoint;
      std::int64_t requests;
      std::int64_t tokens;
    };
    const auto endpoints = endpoints_.load();
    std::vector<Load> loads;
    for (const EndpointPtr& endpoint : *endpoints) {
      loads.push_back({endpoint->full_name, endpoint->running(), endpoint->tokens()});
    }
    std::ranges::sort(loads, [](const Load& a, const Load& b) {
      return std::tuple(b.requests + b.tokens, a.endpoint) < std::tuple(a.requests + a.tokens, b.endpoint);
    });
    json::Array list;
    for (const Load& load : loads) {
      list.push_back(
          json::Value{{"endpoint", load.endpoint}, {"requests", load.requests}, {"tokens", load.tokens}});
    }
    return json::Value(dumped_endpoints(std::move(list)));
  }

 private:
  double estimated_output(const Request& request, double prompt) const {
    if (!output_.wanted) {
      return 0;
    }
    double tokens = std::round(prompt * output_.ratio);
    for (const std::int64_t limit : {request.max_tokens, output_.most}) {
      tokens = limit > 0 ? std::min(tokens, static_cast<double>(limit)) : tokens;
    }
    return tokens;
  }

  const std::optional<PrefixColumns> prefix_;
  const Column uncached_;
  const OutputEstimate output_;
  mutable async::Snapshot<std::vector<EndpointPtr>> endpoints_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_inflight_load_producer(PluginSetup& setup) {
  OutputEstimate output;
  std::string prefix(kApproximateProducer);
  setup.parameters.read("addEstimatedOutputTokens", output.wanted);
  setup.parameters.read("outputRatio", output.ratio);
  setup.parameters.read("maxEstimatedOutputTokens", output.most);
  setup.parameters.read("prefixMatchInfoProducerName", prefix);
  setup.parameters.accept({"syncCrossReplicaState"});
  if (output.ratio < 0) {
    setup.parameters.reject("outputRatio", "must not be negative");
  }
  setup.provide("load");
  // The columns stay zero when no prefix producer runs, which means that nothing is cached.
  return std::make_unique<InflightLoadProducer>(
      setup.prefix_columns(prefix.empty() ? kApproximateProducer : std::string_view(prefix)),
      setup.names().column(fmt::format("load/{}/uncached", setup.plugin_name)), output);
}

}  // namespace llmd::picker
