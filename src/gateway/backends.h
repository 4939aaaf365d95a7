// Backend references: what they lead to, whether they may, and the endpoints there. Private to gateway.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "gateway/backend_tls.h"
#include "gateway/lookup.h"

namespace llmd::gateway {

struct ResolvedBackend {
  std::string key;          // of RouteTable::backends; empty: see problem
  std::string problem;      // in words
  std::string_view reason;  // of the condition ResolvedRefs
};

// Who picks for an InferencePool.
struct PoolPicker {
  std::shared_ptr<const ExternalPicker> external;  // null: the gateway itself
  std::string problem;                             // of the reference to the external one; empty: none
};

struct SpokenProtocol {
  BackendProtocol protocol;
  std::string problem;      // why it cannot be spoken; nothing may be sent then
  std::string_view reason;  // of the condition ResolvedRefs
};

class Backends {
 public:
  // `external_pickers`: as BuildOptions.
  Backends(const RouteObjects& objects, const Lookup& lookup, bool external_pickers)
      : objects_(objects), lookup_(lookup), external_pickers_(external_pickers), policies_(objects) {}

  ResolvedBackend resolve(const kube::Object& route, const kube::Object& reference);
  std::map<std::string, Backend> take() { return std::move(backends_); }
  PoolPicker picker_of(const kube::Object& pool) const;
  // How a port of a Service is spoken to.
  SpokenProtocol protocol_of(const kube::Object& service, const kube::Object& port) const;
  static BackendProtocol protocol_of_pool(const kube::Object& pool);
  const BackendTlsPolicies& tls_policies() const { return policies_; }
  // Pools and Services that the references resolved last lead to, for the status of pools and policies;
  // emptied by the call.
  std::set<const kube::Object*> take_pools() { return std::exchange(pools_, {}); }
  std::set<const kube::Object*> take_services() { return std::exchange(services_, {}); }

 private:
  ResolvedBackend service(std::string_view name_space, std::string_view name, std::int64_t port);
  ResolvedBackend pool(std::string_view group, std::string_view name_space, std::string_view name);
  Backend backend_of_service(const kube::Object& service, const kube::Object& port) const;
  Backend backend_of_pool(const kube::Object& pool) const;

  const RouteObjects& objects_;
  const Lookup& lookup_;
  const bool external_pickers_;
  std::map<std::string, Backend> backends_;
  const BackendTlsPolicies policies_;
  std::set<const kube::Object*> pools_;
  std::set<const kube::Object*> services_;
};

}  // namespace llmd::gateway
