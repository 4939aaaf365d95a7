// What the server fills in when the user left it out, as a kubectl user of a real cluster sees it.
// Idempotent.
#pragma once

#include "apiserver/kinds.h"
#include "kube/object.h"

namespace llmd::apiserver {

void apply_defaults(const Kind& kind, kube::Object& object);

// Only once, when the object is made: status of pods and namespaces, and what admission adds.
void apply_creation_defaults(const Kind& kind, kube::Object& object);

}  // namespace llmd::apiserver
