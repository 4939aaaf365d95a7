#include "operator/scaling_condition.h"

#include <fmt/format.h>

namespace llmd::operators {
namespace {

Condition condition(std::string_view type, Truth truth, std::string_view reason, std::string message) {
  return {.type = std::string(type),
          .truth = truth,
          .reason = std::string(reason),
          .message = std::move(message)};
}

Condition as_reported(std::string_view type, const kube::Object& reported) {
  return condition(type, Truth::False, kube::find_string(reported, "reason"),
                   std::string(kube::find_string(reported, "message")));
}

}  // namespace

Condition scaling_ready(std::string_view type, const kube::Object* scaler, bool by_keda,
                        const std::set<std::string>& absent_kinds) {
  for (const char* kind : {"VariantAutoscaling", "ScaledObject"}) {
    if (absent_kinds.contains(kind)) {
      return condition(
          type, Truth::False, "ScalingCRDNotFound",
          fmt::format("the cluster does not know the kind {}: install its controller, or replace "
                      "scaling by replicas",
                      kind));
    }
  }
  const std::string_view progressing = by_keda ? "ScaledObjectProgressing" : "HPAProgressing";
  const auto* ready = scaler != nullptr && by_keda ? kube::find_condition(*scaler, "Ready") : nullptr;
  if (by_keda) {
    if (ready == nullptr || kube::find_string(*ready, "status") == "Unknown") {
      return condition(type, Truth::Unknown, progressing, "KEDA has not looked at it yet");
    }
    return kube::find_string(*ready, "status") == "True"
               ? Condition{.type = std::string(type), .truth = Truth::True}
               : as_reported(type, *ready);
  }
  bool has_reported = false;
  for (const char* part : {"AbleToScale", "ScalingActive"}) {
    const auto* reported = scaler != nullptr ? kube::find_condition(*scaler, part) : nullptr;
    has_reported |= reported != nullptr;
    if (reported != nullptr && kube::find_string(*reported, "status") == "False") {
      return as_reported(type, *reported);
    }
  }
  return has_reported
             ? Condition{.type = std::string(type), .truth = Truth::True}
             : condition(type, Truth::Unknown, progressing, "the autoscaler has not been looked at yet");
}

}  // namespace llmd::operators
