// Whether an autoscaler works. Pure.
#pragma once

#include <string_view>

#include "operator/status.h"

namespace llmd::operators {

// `scaler`: the HorizontalPodAutoscaler or ScaledObject; null: not there yet. `absent_kinds`: rendered kinds
// that the API server does not have.
Condition scaling_ready(std::string_view type, const kube::Object* scaler, bool by_keda,
                        const std::set<std::string>& absent_kinds);

}  // namespace llmd::operators
