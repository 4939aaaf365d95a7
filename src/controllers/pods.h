// Facts about pods that several controllers ask for. Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "kube/object.h"

namespace llmd::controllers {

bool is_controlled_by(const kube::Object& pod, const kube::Object& owner);
bool is_finished(const kube::Object& pod);  // phase Succeeded or Failed
bool is_active(const kube::Object& pod);    // neither finished nor going
bool is_ready(const kube::Object& pod);     // condition Ready is True

struct Availability {
  std::int64_t ready = 0;
  std::int64_t available = 0;          // ready for at least minReadySeconds
  std::optional<Duration> look_again;  // when the next pod becomes available without an event
};
Availability availability_of(const std::vector<const kube::Object*>& pods, std::int64_t min_ready_seconds,
                             const Clock& clock = system_clock());

// The order in which a shrinking set gives pods up: unscheduled, pending, not ready, youngest.
bool goes_first(const kube::Object* a, const kube::Object* b);

}  // namespace llmd::controllers
