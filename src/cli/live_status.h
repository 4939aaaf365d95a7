// The status that `llmd up` draws: on a terminal one block that is redrawn in place, elsewhere a line for
// each change.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::cli {

// The condition Ready is True.
bool is_ready(const kube::Object& object);

// One line for every service and every pod that is not ready, from what the API server knows. `progress_of`
// says how far the fetch of a pod's model is ("" when it does not know). Pure.
std::vector<std::string> status_lines(const std::vector<const kube::Object*>& services,
                                      const std::vector<const kube::Object*>& pods,
                                      const std::function<std::string(const kube::Object& pod)>& progress_of);

// "34 % of 97.2 MiB" from the last progress line that `llmd fetch` wrote into a log; "" when there is none.
std::string fetch_progress(const std::filesystem::path& log);

class LiveStatus {
 public:
  LiveStatus();
  void show(const std::vector<std::string>& lines);
  // Keeps what is drawn and continues below it.
  void leave();

 private:
  bool terminal_;
  std::vector<std::string> shown_;
};

}  // namespace llmd::cli
