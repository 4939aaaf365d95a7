// Objects, pods, containers and GPUs of a service as a drawing.
#pragma once

#include <string>

#include "llmisvc/compile.h"

namespace llmd::llmisvc {

std::string objects_as_tree(const Compiled& compiled);

}  // namespace llmd::llmisvc
