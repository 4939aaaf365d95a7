#include "picker/plugins/max_score_picker.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class MaxScorePicker final : public EndpointPicker {
 public:
  MaxScorePicker(int most, bool in_turn) : most_(static_cast<std::size_t>(most)), in_turn_(in_turn) {}

  void pick(Cycle& cycle, std::span<const Row> rows, std::span<const double> totals,
            std::vector<Row>& picks) const override {
    const std::size_t wanted = std::min(most_, rows.size());
    while (picks.size() < wanted) {
      picks.push_back(rows[best(cycle, rows, totals, picks)]);
    }
  }

 private:
  // One pass: every further row that equals the best so far replaces it with probability 1/n.
  std::size_t best(Cycle& cycle, std::span<const Row> rows, std::span<const double> totals,
                   std::span<const Row> taken) const {
    const std::size_t start = in_turn_ ? cycle.sequence() % rows.size() : 0;
    std::size_t chosen = rows.size();
    std::size_t equals = 0;
    for (std::size_t step = 0; step < rows.size(); ++step) {
      const std::size_t i = start + step < rows.size() ? start + step : start + step - rows.size();
      if (!taken.empty() && std::ranges::find(taken, rows[i]) != taken.end()) {
        continue;
      }
      if (chosen == rows.size() || totals[i] > totals[chosen]) {
        chosen = i;
        equals = 1;
      } else if (totals[i] == totals[chosen] && !in_turn_ && cycle.random().below(++equals) == 0) {
        chosen = i;
      }
    }
    return chosen;
  }

  const std::size_t most_;
  const bool in_turn_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_max_score_picker(PluginSetup& setup) {
  int most = 1;
  int ties = 0;
  setup.parameters.read("maxNumOfEndpoints", most);
  setup.parameters.read_choice("ties", ties, {"random", "turn"});
  return std::make_unique<MaxScorePicker>(std::max(most, 1), ties == 1);
}

}  // namespace llmd::picker
