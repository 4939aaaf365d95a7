// Which of a cluster's many ConfigMaps, Secrets and Pods routes are made of: others change all the time and
// must not cost a new route table each. Pure; private to gateway.
#pragma once

#include "gateway/build_routes.h"

namespace llmd::gateway {

// False: neither routes nor models nor status depend on this object. Objects of other kinds always count.
// `referrers`: Gateways, policies and pools, as build_routes() gets them; other lists are not looked at.
bool counts_for_routes(const kube::Resource& resource, const kube::Object& object,
                       const RouteObjects& referrers);

}  // namespace llmd::gateway
