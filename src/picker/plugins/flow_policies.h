// Policies of flow control.
// fcfs-ordering-policy           in the order of arrival
// edf-ordering-policy            by deadline: arrival + TTL
// slo-deadline-ordering-policy   by arrival + x-llm-d-slo-ttft-ms; without one last
// global-strict-fairness-policy  the flow whose first request is first by the order
// round-robin-fairness-policy    the next flow after the one served last
// program-aware-fairness         least attained service: the program (fairness id) that got the least and
//                                waits the longest, both compared among those that wait; service is prompt +
//                                2 * completion tokens and decays by half every lasHalfLifeSeconds
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_fcfs_ordering(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_edf_ordering(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_slo_deadline_ordering(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_global_strict_fairness(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_round_robin_fairness(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_program_aware_fairness(PluginSetup& setup);

}  // namespace llmd::picker
