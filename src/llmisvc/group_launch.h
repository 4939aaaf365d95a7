// Launch commands of pods that work as one group: what the leader and the workers add to a single pod's
// command.
#pragma once

#include <string>
#include <vector>

#include "llmisvc/launch.h"
#include "llmisvc/render_pod.h"

namespace llmd::llmisvc {

std::vector<std::string> group_command(std::vector<std::string> command, Engine engine,
                                       const PodRequest& request);

}  // namespace llmd::llmisvc
