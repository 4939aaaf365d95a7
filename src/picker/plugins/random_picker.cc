#include "picker/plugins/random_picker.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace llmd::picker {
namespace {

class RandomPicker final : public EndpointPicker {
 public:
  RandomPicker(int most, bool weighted) : most_(static_cast<std::size_t>(most)), weighted_(weighted) {}

  void pick(Cycle& cycle, std::span<const Row> rows, std::span<const double> totals,
            std::vector<Row>& picks) const override {
    const bool by_weight = weighted_ && std::ranges::any_of(totals, [](double total) { return total > 0; });
    static thread_local std::vector<std::pair<double, Row>> drawn;
    drawn.clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double chance = cycle.random().uniform();
      const double key = !by_weight ? chance : totals[i] > 0 ? std::pow(chance, 1 / totals[i]) : 0.0;
      drawn.emplace_back(key, rows[i]);
    }
    const auto wanted = static_cast<std::ptrdiff_t>(std::min(most_, drawn.size()));
    std::ranges::partial_sort(drawn, drawn.begin() + wanted, std::greater());
    for (std::ptrdiff_t i = 0; i < wanted; ++i) {
      picks.push_back(drawn[static_cast<std::size_t>(i)].second);
    }
  }

 private:
  const std::size_t most_;
  const bool weighted_;
};

Result<std::unique_ptr<Plugin>> make(PluginSetup& setup, bool weighted) {
  int most = 1;
  setup.parameters.read("maxNumOfEndpoints", most);
  return std::make_unique<RandomPicker>(std::max(most, 1), weighted);
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_random_picker(PluginSetup& setup) {
  return make(setup, false);
}

Result<std::unique_ptr<Plugin>> make_weighted_random_picker(PluginSetup& setup) {
  return make(setup, true);
}

}  // namespace llmd::picker
