// What services of one namespace have to do with each other: the names under which their models are asked
// for. Two services that answer to one name get each other's requests; members of a routing group must answer
// to the same.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kube/object.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::operators {

class Neighbours {
 public:
  // Called with the services that a change of another one concerns.
  explicit Neighbours(std::function<void(const kube::ObjectKey&)> changed) : changed_(std::move(changed)) {}

  void remember(const kube::ObjectKey& key, const llmisvc::Service& service);
  void forget(const kube::ObjectKey& key);

  // "service 'b' also serves 'm'", for services outside the group that are reached through a gateway too.
  std::vector<std::string> collisions(const kube::ObjectKey& key) const;
  // Takes members that answer to other names out of the facts; their names. Members that nobody has looked at
  // yet stay.
  std::vector<std::string> take_out_divergent(const llmisvc::Service& service, llmisvc::Facts& facts) const;

 private:
  struct Known {
    std::set<std::string> names = {};
    std::string group = {};
    bool has_route = false;
    bool operator==(const Known&) const = default;
  };
  static Known known_of(const llmisvc::Service& service);
  void wake(const kube::ObjectKey& key, const Known& one) const;

  std::function<void(const kube::ObjectKey&)> changed_;
  std::map<kube::ObjectKey, Known> known_;
};

}  // namespace llmd::operators
