// What a controller has asked for and not yet seen come back through its informer. Without this, a reconcile
// that runs before the watch has caught up would ask twice.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/clock.h"

namespace llmd::controllers {

class Expectations {
 public:
  void expect(const std::string& owner, const std::string& name) {
    waiting_[owner].names.insert(name);
    waiting_[owner].since = std::chrono::steady_clock::now();
  }
  void seen(const std::string& owner, const std::string& name) {
    const auto found = waiting_.find(owner);
    if (found != waiting_.end() && found->second.names.erase(name) > 0 && found->second.names.empty()) {
      waiting_.erase(found);
    }
  }
  // True once everything asked for has been seen. An event that never comes (the object was changed again
  // meanwhile) must not block for ever, so an expectation ends after half a minute.
  bool met(const std::string& owner) {
    const auto found = waiting_.find(owner);
    if (found == waiting_.end()) {
      return true;
    }
    if (std::chrono::steady_clock::now() - found->second.since < std::chrono::seconds(30)) {
      return false;
    }
    waiting_.erase(found);
    return true;
  }

 private:
  struct Waiting {
    std::set<std::string> names;
    TimePoint since;
  };
  std::map<std::string, Waiting> waiting_;
};

}  // namespace llmd::controllers
