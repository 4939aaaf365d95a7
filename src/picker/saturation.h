// How full a pool is. Private to picker.
#pragma once

#include <optional>
#include <vector>

#include "picker/plan.h"

namespace llmd::picker {

struct PoolSaturation {
  std::optional<double> prefill;
  std::optional<double> decode;
  double effective = 1;
};

// The fuller of the two stages; the detector's word on all endpoints when there are no roles. Leaves all
// endpoints in `rows` then.
PoolSaturation pool_saturation(const Plan& plan, const Cycle& cycle, std::vector<Row>& rows);

}  // namespace llmd::picker
