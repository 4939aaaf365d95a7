#include "picker/plugins/topology.h"

#include <algorithm>
#include <array>

namespace llmd::picker {
namespace {

constexpr std::size_t kLevels = 4;
constexpr double kScores[kLevels] = {1.0, 0.2, 0.05, 0.02};

class Topology final : public Plugin {
 public:
  std::array<std::string, kLevels> labels = {"kubernetes.io/hostname", "topology.kubernetes.io/rack",
                                             "topology.kubernetes.io/zone", "topology.kubernetes.io/region"};
};

// The labels of the named extractor, of the one that has no other name, or the usual ones.
std::array<std::string, kLevels> labels_of(PluginSetup& setup) {
  std::string producer;
  setup.parameters.read("topologyProducerName", producer);
  if (producer.empty() && setup.is_listed("topology-extractor")) {
    producer = "topology-extractor";
  }
  if (!producer.empty()) {
    if (const auto* topology =
            dynamic_cast<const Topology*>(setup.reference("topologyProducerName", producer))) {
      return topology->labels;
    }
  }
  return Topology().labels;
}

class Nearness {
 public:
  explicit Nearness(std::array<std::string, kLevels> labels) : labels_(std::move(labels)) {}

  // 0: same host; kLevels: nothing in common.
  std::size_t distance(const Endpoint& a, const Endpoint& b) const {
    for (std::size_t level = 0; level < kLevels; ++level) {
      const std::string_view here = place(a, level);
      if (!here.empty() && here == place(b, level)) {
        return level;
      }
    }
    return kLevels;
  }

 private:
  // Without the label of a host, the name that the pod has given itself counts.
  std::string_view place(const Endpoint& endpoint, std::size_t level) const {
    const std::string* label = endpoint.label(labels_[level]);
    if (label != nullptr && !label->empty()) {
      return *label;
    }
    return level == 0 ? std::string_view(endpoint.hostname) : std::string_view();
  }

  const std::array<std::string, kLevels> labels_;
};

class TopologyFilter final : public Filter {
 public:
  TopologyFilter(Nearness nearness, std::size_t farthest)
      : nearness_(std::move(nearness)), farthest_(farthest) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    if (!cycle.peer()) {
      return;
    }
    const Endpoint& peer = cycle.described(*cycle.peer());
    const auto is_far = [&](Row row) { return nearness_.distance(cycle.described(row), peer) > farthest_; };
    if (!std::ranges::all_of(rows, is_far)) {
      std::erase_if(rows, is_far);
    }
  }

 private:
  const Nearness nearness_;
  const std::size_t farthest_;
};

class TopologyScorer final : public Scorer {
 public:
  explicit TopologyScorer(Nearness nearness) : nearness_(std::move(nearness)) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; cycle.peer() && i < rows.size(); ++i) {
      const std::size_t distance =
          nearness_.distance(cycle.described(rows[i]), cycle.described(*cycle.peer()));
      scores[i] = distance < kLevels ? kScores[distance] : 0;
    }
  }

 private:
  const Nearness nearness_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_topology_extractor(PluginSetup& setup) {
  auto topology = std::make_unique<Topology>();
  constexpr std::string_view kNames[kLevels] = {"hostname", "rack", "zone", "region"};
  for (std::size_t level = 0; level < kLevels; ++level) {
    std::string label;
    setup.parameters.read(kNames[level], label);
    topology->labels[level] = label.empty() ? topology->labels[level] : label;
  }
  return topology;
}

Result<std::unique_ptr<Plugin>> make_topology_affinity_filter(PluginSetup& setup) {
  int farthest = 0;
  setup.parameters.read_choice("minAffinity", farthest, {"host", "rack", "zone", "region"});
  return std::make_unique<TopologyFilter>(Nearness(labels_of(setup)), static_cast<std::size_t>(farthest));
}

Result<std::unique_ptr<Plugin>> make_topology_affinity_scorer(PluginSetup& setup) {
  return std::make_unique<TopologyScorer>(Nearness(labels_of(setup)));
}

}  // namespace llmd::picker
