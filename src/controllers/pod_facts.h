// What controllers ask of a pod.
#pragma once

#include "kube/object.h"

namespace llmd::controllers {

bool is_pod_ready(const kube::Object& pod);   // condition Ready is True
bool is_pod_active(const kube::Object& pod);  // neither ended nor being deleted: counts as a replica
// Which of two pods goes first when one has to: unbound, then pending, then not ready, then the younger one.
bool goes_before(const kube::Object& a, const kube::Object& b);

}  // namespace llmd::controllers
