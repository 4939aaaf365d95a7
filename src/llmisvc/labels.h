// Names, labels and metadata that every rendered object carries.
#pragma once

#include <string>
#include <string_view>

#include "json/value.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

inline constexpr std::string_view kPartOf = "llminferenceservice";

// "true" on a workload: its pods know their model by publishers/NAMESPACE/models/NAME; "false" on a Gateway:
// it does not route by that name.
inline constexpr std::string_view kModelRouting = "serving.kserve.io/model-based-routing-enabled";

// app.kubernetes.io/component values.
inline constexpr std::string_view kWorkload = "llminferenceservice-workload";
inline constexpr std::string_view kPrefill = "llminferenceservice-workload-prefill";
inline constexpr std::string_view kLeader = "llminferenceservice-workload-leader";
inline constexpr std::string_view kWorker = "llminferenceservice-workload-worker";
inline constexpr std::string_view kPrefillLeader = "llminferenceservice-workload-leader-prefill";
inline constexpr std::string_view kPrefillWorker = "llminferenceservice-workload-worker-prefill";
inline constexpr std::string_view kRouter = "llminferenceservice-router";
inline constexpr std::string_view kScheduler = "llminferenceservice-router-scheduler";

// name and part-of, and the component unless it is empty.
json::Object labels_of(const Service& service, std::string_view component);
// The labels by which pools and Services find the pods that serve requests; role: both, decode, prefill.
void add_pool_labels(json::Object& labels, std::string_view role);
json::Object pool_selector(const Service& service);

// apiVersion, kind, metadata with name, namespace, labels and, once the service has a uid, the reference to
// it.
json::Object child(const Service& service, std::string_view api_version, std::string_view kind,
                   std::string name, json::Object labels);

json::Value text_value(std::string_view text);
json::Array text_list(const std::vector<std::string>& texts);

}  // namespace llmd::llmisvc
