// How near an endpoint is to the one another stage got: same host, rack, zone or region, by labels. Without a
// label of the host, pods with the same hostname (spec.hostname) are on the same one.
// topology-extractor        names of the labels
// topology-affinity-filter  {minAffinity}: at least that near; without a peer, its place or a match all
// topology-affinity-scorer  host 1.0, rack 0.2, zone 0.05, region 0.02, else 0
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_topology_extractor(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_topology_affinity_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_topology_affinity_scorer(PluginSetup& setup);

}  // namespace llmd::picker
