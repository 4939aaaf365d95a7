// Wakes a thread that waits in ZmqPoller: an eventfd. Any thread calls signal(); the sleeper adds
// descriptor() to its poll set and calls clear() when it is awake.
#pragma once

#include "base/file.h"

namespace llmd::kvcache {

class WakeUp {
 public:
  WakeUp();
  void signal() const;
  void clear() const;
  int descriptor() const { return event_.number(); }

 private:
  FileDescriptor event_;
};

}  // namespace llmd::kvcache
