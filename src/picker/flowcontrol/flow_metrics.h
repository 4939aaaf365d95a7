// FlowMetrics: how long requests waited in flow control and how that ended, under llm-d's names. Any thread;
// at most 10,000 series, the rest counts as "other".
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "picker/decision.h"
#include "picker/flowcontrol/policies.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class FlowMetrics {
 public:
  FlowMetrics();
  ~FlowMetrics();

  struct Flow {
    std::string_view fairness_id;
    int priority = 0;
    std::string_view model;
    std::string_view target;
  };
  // It has its place in a queue, or never needed one.
  void queued(const Flow& flow, Duration took);
  // Dispatched, RejectedCapacity, RejectedOther, EvictedTTL, EvictedContextCancelled or EvictedOther.
  void finished(const Flow& flow, std::string_view outcome, Duration waited);
  void cycle(Duration took);
  static std::string_view outcome_of(const Rejection& rejection, bool was_queued);

  void write(Page& page, std::string_view pool) const;

 private:
  struct Series;
  struct Histogram;
  Series& series(const Flow& flow, std::string_view outcome);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>, std::less<>> series_;
  std::unique_ptr<Histogram> cycles_;
};

}  // namespace llmd::picker
