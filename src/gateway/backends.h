// Backend references: what they lead to, whether they may, and the endpoints there. Private to gateway.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "gateway/lookup.h"

namespace llmd::gateway {

struct ResolvedBackend {
  std::string key;          // of RouteTable::backends; empty: see problem
  std::string problem;      // in words
  std::string_view reason;  // of the condition ResolvedRefs
};

class Backends {
 public:
  Backends(const RouteObjects& objects, const Lookup& lookup) : objects_(objects), lookup_(lookup) {}

  ResolvedBackend resolve(const kube::Object& route, const kube::Object& reference);
  std::map<std::string, Backend> take() { return std::move(backends_); }
  // Pools that the references resolved last lead to, for their status; emptied by the call.
  std::set<const kube::Object*> take_pools() { return std::exchange(pools_, {}); }

 private:
  ResolvedBackend service(std::string_view name_space, std::string_view name, std::int64_t port);
  ResolvedBackend pool(std::string_view group, std::string_view name_space, std::string_view name);
  Backend endpoints_of_service(const kube::Object& service, const kube::Object& port) const;
  Backend endpoints_of_pool(const kube::Object& pool) const;

  const RouteObjects& objects_;
  const Lookup& lookup_;
  std::map<std::string, Backend> backends_;
  std::set<const kube::Object*> pools_;
};

}  // namespace llmd::gateway
