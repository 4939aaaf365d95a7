// The rules that check() is made of, by topic; each appends its findings.
#pragma once

#include <string>
#include <string_view>

#include "llmisvc/facts.h"
#include "llmisvc/finding.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Scheme and what must follow it: hf://ORG/MODEL, s3://BUCKET/..., pvc://CLAIM/..., oci://IMAGE,
// https://HOST/...
void check_uri(const std::string& uri, const std::string& path, Platform platform, Findings& findings);

// Bounds and exclusions of scaling (KServe's, section "scaling" of its v1alpha2).
void check_scaling(const Workload& workload, Findings& findings);
// Prefill and decode are scaled by the same kind of actuator.
void check_actuators(const Service& service, Findings& findings);

// kvCacheOffloading: sizes, and exactly one source for each tier.
void check_cache_tiers(const Workload& workload, Findings& findings);

// Environment variables that pick GPUs by hand.
void check_devices(const Workload& workload, Findings& findings);

// model.confidential: the key's place, and URIs it means nothing for.
void check_confidential(const Service& service, Findings& findings);

// KServe's annotations for claimed devices (serving.kserve.io/exp-dra-*).
void check_device_claims(const Service& service, Findings& findings);

// router.scheduler.config of a spec, as written or merged, before the reference is resolved.
void check_scheduler_config(const json::Value& spec, Findings& findings);

}  // namespace llmd::llmisvc
