#include "picker/saturation.h"

#include <algorithm>

namespace llmd::picker {

PoolSaturation pool_saturation(const Plan& plan, const Cycle& cycle, std::vector<Row>& rows) {
  PoolSaturation found;
  if (plan.stages) {
    for (const auto& [stage, saturation] :
         {std::pair(plan.stages->prefill, &found.prefill), std::pair(plan.stages->decode, &found.decode)}) {
      rows.clear();
      for (std::size_t row = 0; row < cycle.rows(); ++row) {
        if (cycle.has(static_cast<Row>(row), stage)) {
          rows.push_back(static_cast<Row>(row));
        }
      }
      if (!rows.empty()) {
        *saturation = plan.detector->saturation(cycle, rows);
      }
    }
  }
  if (found.prefill || found.decode) {
    found.effective = std::max(found.prefill.value_or(0), found.decode.value_or(0));
    return found;
  }
  rows.clear();
  for (std::size_t row = 0; row < cycle.rows(); ++row) {
    rows.push_back(static_cast<Row>(row));
  }
  found.effective = plan.detector->saturation(cycle, rows);
  return found;
}

}  // namespace llmd::picker
