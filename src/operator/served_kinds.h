// Which optional kinds the API server has: those of CustomResourceDefinitions that not every cluster
// installs. Asked when somebody wants to know, and again after a while, so that a definition which is
// installed later is found.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace llmd::operators {

class ServedKinds {
 public:
  // How long "absent" is believed; who waits for a kind asks again after it.
  static constexpr Duration kAbsentFor = std::chrono::seconds(30);

  explicit ServedKinds(kube::Client& client) : client_(client) {}
  // A kind that may not be looked at counts as served: applying an object of it says what is wrong.
  Task<bool> serves(const kube::Resource& resource);

 private:
  struct Answer {
    bool served = false;
    TimePoint until = {};
  };
  kube::Client& client_;
  std::map<std::string, Answer> answers_;  // by group and plural
};

}  // namespace llmd::operators
