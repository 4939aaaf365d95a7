// Decides whether a rendered object has to be written. Pure.
#pragma once

#include <string>
#include <string_view>

#include "kube/object.h"

namespace llmd::operators {

// Hash of what was rendered, kept on the object: a value that is rendered no longer changes it.
inline constexpr std::string_view kRenderedHash = "llmd.dev/rendered-hash";

// The object with the hash of its own content as an annotation.
kube::Object with_hash(kube::Object object);

// True when `live` has the hash of `desired` (from with_hash) and every value of it: nobody changed anything.
bool is_applied(const kube::Object& desired, const kube::Object& live);

}  // namespace llmd::operators
