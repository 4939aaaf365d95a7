// Tiers of the KV cache below accelerator memory (spec.kvCacheOffloading).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/value.h"

namespace llmd::llmisvc {

// A Kubernetes quantity ("10Gi", "1.5G", 1024) in whole units, rounded up; nullopt when it is none.
std::optional<long long> quantity_of(const json::Value& value);

// Value of vLLM's --kv-transfer-config for these tiers; tier i lies in /mnt/kv-cache-<i>.
std::string kv_transfer_config(const json::Object& offloading);

// Volumes of the tiers below main memory, mounted into `server`, a container of `pod`.
void add_tier_volumes(json::Object& pod, json::Object& server, const json::Object& offloading);

}  // namespace llmd::llmisvc
