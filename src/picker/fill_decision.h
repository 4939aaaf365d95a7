// What a decision takes along from the cycle that made it. Private to picker.
#pragma once

#include "picker/cycle.h"
#include "picker/decision.h"
#include "picker/plan.h"

namespace llmd::picker {

// What hooks and metrics want to know of the request until its end.
void remember(const Request& request, TimePoint now, Decision& decision);
// Names the other stages' endpoints, and keeps clients from naming them.
void name_stages(const Request& request, const Cycle& cycle, const Stages& stages, Decision& decision);
void take_leases(const Plan& plan, const Cycle& cycle, const Stages& stages, Decision& decision);

}  // namespace llmd::picker
