// From a service and its pods to the slices that say where it answers. Pure.
#pragma once

#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::controllers {

bool has_selector(const kube::Object& service);
bool selects(const kube::Object& service, const kube::Object& pod);

// What of a pod a slice shows, as text: equal texts make equal slices.
std::string endpoint_facts(const kube::Object& pod);

// One slice per set of port numbers: a port named in the service may be another number in every pod. Pods
// without an address and finished ones are left out; a service without pods has one slice without endpoints.
std::vector<kube::Object> slices_of(const kube::Object& service,
                                    const std::vector<const kube::Object*>& pods);

}  // namespace llmd::controllers
