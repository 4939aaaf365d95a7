// Where a service is reached: what the Gateways of its routes say about hosts and ports, and the path of the
// routes. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::operators {

using FindGateway = std::function<const kube::Object*(const kube::ObjectKey&)>;  // null: not there

// Every listener that a route refers to has URLs: hosts of the route, else of the listener (`*.x` is
// inference.x, as KServe has it), else the addresses of the Gateway's status. Of those, one that is reached
// from outside the cluster comes first, then https, then the alphabet. Empty: nothing is known yet.
std::string service_url(const std::vector<const kube::Object*>& routes, const FindGateway& find_gateway);

}  // namespace llmd::operators
