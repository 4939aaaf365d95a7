// Rules about values that a schema cannot say: names, ranges, what must not change.
#pragma once

#include <vector>

#include "apiserver/failure.h"
#include "apiserver/kinds.h"
#include "kube/object.h"

namespace llmd::apiserver {

// `before` is null when the object is being made.
std::vector<Cause> validate(const Kind& kind, const kube::Object& object, const kube::Object* before);

}  // namespace llmd::apiserver
