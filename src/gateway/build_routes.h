// From Kubernetes objects to the route table and the status of every object. Pure: the same objects give the
// same table and status, wherever they come from.
#pragma once

#include <string>
#include <vector>

#include "gateway/route_table.h"
#include "kube/object.h"
#include "kube/resource.h"

namespace llmd::gateway {

// By kind; the objects outlive the call that gets them.
struct RouteObjects {
  std::vector<const kube::Object*> gateway_classes = {};
  std::vector<const kube::Object*> gateways = {};
  std::vector<const kube::Object*> http_routes = {};
  std::vector<const kube::Object*> grpc_routes = {};
  std::vector<const kube::Object*> reference_grants = {};
  std::vector<const kube::Object*> services = {};
  std::vector<const kube::Object*> endpoint_slices = {};
  std::vector<const kube::Object*> pools = {};
  std::vector<const kube::Object*> older_pools = {};  // v1alpha2
  std::vector<const kube::Object*> pods = {};
  std::vector<const kube::Object*> backend_tls_policies = {};
  std::vector<const kube::Object*> config_maps = {};  // certificates of authorities
  std::vector<const kube::Object*> secrets = {};
  std::vector<const kube::Object*> namespaces = {};
  std::vector<const kube::Object*> objectives = {};    // InferenceObjectives of either group
  std::vector<const kube::Object*> llm_services = {};  // names of models, before an engine answers

  // Files the object under its kind; false when the gateway reads no such objects.
  bool add(const kube::Object& object);
};

struct BuildOptions {
  // Nobody else serves these objects (files, one machine): Gateways whose class does not exist are ours, and
  // routes without any Gateway are served, too. On a cluster a Gateway is ours by its class's controller
  // only.
  bool alone = true;
  // InferencePools without the annotation llmd.dev/endpoint-picker ("external", "in-process") are picked for
  // by the picker that their endpointPickerRef names, not in process.
  bool external_pickers = false;
  // Of status.addresses; empty: no address is known yet.
  std::string address = {};
  std::string now = {};  // RFC 3339, for conditions that change
};

// The whole object with the status it should have. Only those whose status differs.
struct StatusChange {
  kube::Resource resource;
  kube::Object object;
};

struct BuiltRoutes {
  RouteTable table;
  std::vector<StatusChange> status;
};

// What the gateway cannot do, or a reference that leads nowhere, becomes a `problem` of that rule or backend,
// which requests are answered with, and a condition of the object; it never takes other routes down.
BuiltRoutes build_routes(const RouteObjects& objects, const BuildOptions& options = {});

}  // namespace llmd::gateway
