// Programs whose shims live on although no Container of this node holds them: of pods that were deleted while
// no node was running, or are stopped before they were adopted.
#pragma once

#include "async/deadline.h"
#include "async/event_loop.h"
#include "node/pod_folder.h"

namespace llmd::node {

// SIGTERM to every program of the pod, SIGKILL once the deadline passes; returns when none is left.
Task<void> end_survivors(async::EventLoop& loop, PodFolder folder, async::Deadline deadline);

}  // namespace llmd::node
