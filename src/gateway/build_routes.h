// From Kubernetes objects to the route table. Pure: the same objects give the same table, wherever they come
// from.
#pragma once

#include <vector>

#include "gateway/route_table.h"
#include "kube/object.h"

namespace llmd::gateway {

struct RouteObjects {
  std::vector<const kube::Object*> http_routes;
  std::vector<const kube::Object*> services;
  std::vector<const kube::Object*> endpoint_slices;
};

// What the gateway cannot do yet, or a reference that leads nowhere, becomes a `problem` of that rule or
// backend, which requests are answered with; it never takes other routes down.
RouteTable build_routes(const RouteObjects& objects);

}  // namespace llmd::gateway
