// The objects of one build by name, and what ReferenceGrants permit. Private to gateway.
#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/build_routes.h"

namespace llmd::gateway {

class Lookup {
 public:
  explicit Lookup(const RouteObjects& objects);

  const kube::Object* service(std::string_view name_space, std::string_view name) const;
  const kube::Object* secret(std::string_view name_space, std::string_view name) const;
  const kube::Object* name_space(std::string_view name) const;
  // `group` tells v1 from v1alpha2.
  const kube::Object* pool(std::string_view group, std::string_view name_space, std::string_view name) const;
  // The slices of a service.
  std::vector<const kube::Object*> slices(std::string_view name_space, std::string_view service) const;

  // References within a namespace are always permitted, others by a ReferenceGrant beside their target.
  struct From {
    std::string_view group;
    std::string_view kind;
    std::string_view name_space;
  };
  struct To {
    std::string_view group;
    std::string_view kind;
    std::string_view name_space;
    std::string_view name;
  };
  bool permits(const From& from, const To& to) const;

 private:
  using Key = std::pair<std::string_view, std::string_view>;  // namespace and name
  using ByName = std::map<Key, const kube::Object*>;
  static const kube::Object* find(const ByName& all, Key key);

  ByName services_;
  ByName secrets_;
  ByName namespaces_;
  ByName pools_;
  ByName older_pools_;
  std::multimap<Key, const kube::Object*> slices_;
  std::multimap<std::string_view, const kube::Object*> grants_;  // by namespace
};

}  // namespace llmd::gateway
