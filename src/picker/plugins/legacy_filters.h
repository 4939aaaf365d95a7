// Filters of v0.5, for documents written then.
// low-queue-filter        at most `threshold` requests wait
// least-queue-filter      the lowest 1/n slice between the shortest and the longest queue
// least-kv-cache-filter   the same by cache usage
// decision-tree-filter    {current, nextOnSuccess, nextOnFailure, nextOnSuccessOrFailure}: filters by name
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_low_queue_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_least_queue_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_least_kv_cache_filter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_decision_tree_filter(PluginSetup& setup);

}  // namespace llmd::picker
