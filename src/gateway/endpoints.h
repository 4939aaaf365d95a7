// Reads the endpoints behind Services and InferencePools out of slices and pods, for routes and for the
// unified API alike. Pure; private to gateway.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/lookup.h"
#include "picker/endpoint.h"

namespace llmd::gateway {

struct EndpointList {
  std::vector<picker::Endpoint> ready;
  std::size_t not_ready = 0;  // that may become ready
};

// Of a Service's slices, for the port of this name. Those that end are left out.
EndpointList endpoints_of(const std::vector<const kube::Object*>& slices, std::string_view port_name);

// Of the pods that an InferencePool (v1 or v1alpha2) selects: one for each of its ports. A pool without a
// selector selects nothing.
EndpointList endpoints_of_pool(const kube::Object& pool, const std::vector<const kube::Object*>& pods);

// Whether the pod is one of the InferencePool's.
bool selects(const kube::Object& pool, const kube::Object& pod);
bool is_ready(const kube::Object& pod);
picker::Endpoint endpoint_of(const kube::Object& pod, std::uint16_t port);

// Priorities by InferenceObjective. Objectives without a poolRef count for every pool of their namespace.
using Priorities = std::map<std::string, int, std::less<>>;
Priorities priorities_of(const kube::Object& pool, const std::vector<const kube::Object*>& objectives);

}  // namespace llmd::gateway
