// The certificate of a service's servers on a cluster: a Secret that every pod mounts. Made when it is
// missing, names other hosts, or is about to end. Names are DNS names of Services, so pods that come and go
// change nothing.
#pragma once

#include <map>
#include <string>

#include "kube/client.h"
#include "llmisvc/service.h"

namespace llmd::operators {

class Certificates {
 public:
  explicit Certificates(kube::Client& client) : client_(client) {}
  Task<Result<void>> ensure(const llmisvc::Service& service);

 private:
  kube::Client& client_;
  std::map<std::string, WallTime> good_until_;  // by uid of the service: not looked at again before
};

}  // namespace llmd::operators
