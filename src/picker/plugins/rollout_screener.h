// disaggregatedset-rollout-screener: while prefill and decode sets are rolled out, a request is served by one
// revision only. Of the revisions that have all required roles one is drawn in proportion to its pods: those
// of all these roles (sum), or those of the role that has the most pods altogether (max-role). A strict
// header selector keeps the endpoints whose label is the header's value, possibly none; one that prefers is
// for header-label-affinity-scorer. Answers name the labels of the endpoint that served.
//
// Only the pool's own endpoints are counted: roles that live in another pool do not cover a revision.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_rollout_screener(PluginSetup& setup);

}  // namespace llmd::picker
