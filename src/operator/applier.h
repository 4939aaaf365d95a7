// Brings the objects of one service to the API server: server-side apply of what differs, removal of what is
// rendered no longer. One loop.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kube/client.h"
#include "llmisvc/facts.h"
#include "operator/world.h"

namespace llmd::operators {

class Applier {
 public:
  Applier(kube::Client& client, const World& world, llmisvc::Platform platform)
      : client_(client), world_(world), platform_(platform) {}

  // All objects are tried; the first error is returned. Nothing is written that is as it should be. Those
  // that `is_withheld` names are left as they are, there or not.
  Task<Result<void>> apply(const kube::Object& service, const std::vector<kube::Object>& objects,
                           std::function<bool(const kube::Object&)> is_withheld);

 private:
  Task<Result<void>> apply_one(kube::Object object);
  Task<Result<void>> remove_others(const kube::Object& service, const std::set<std::string>& wanted);
  Task<Result<void>> remove_unwatched(const kube::Object& service, const std::set<std::string>& wanted);
  Task<Result<void>> ensure_namespace(const std::string& name);

  kube::Client& client_;
  const World& world_;
  const llmisvc::Platform platform_;
  std::map<std::string, std::string> written_;  // hash of what was last applied, kinds that are not watched
  std::map<kube::ObjectKey, std::int64_t> pruned_;  // generation up to which unwatched kinds were pruned
  std::set<std::string> ensured_namespaces_;
};

}  // namespace llmd::operators
