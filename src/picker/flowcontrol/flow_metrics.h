// FlowMetrics: how long requests waited in flow control and how that ended, under llm-d's names. Any thread;
// at most 10,000 series, the rest counts as "other". A flow's series leave the page when it has been idle for
// five minutes, as llm-d's do; "other" and the totals by outcome stay.
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
    int priority = 0;  // of the band where it waits
    std::string_view model;
    std::string_view target;
  };
  // It has its place in a queue, or never needed one.
  void queued(const Flow& flow, Duration took, TimePoint now);
  // Dispatched, RejectedCapacity, RejectedOther, EvictedTTL, EvictedContextCancelled or EvictedOther.
  void finished(const Flow& flow, std::string_view outcome, Duration waited, TimePoint now);
  void cycle(Duration took);
  static std::string_view outcome_of(const Rejection& rejection, bool was_queued);

  void write(Page& page, std::string_view pool, TimePoint now);

 private:
  struct Series;
  struct Histogram;
  using Totals = std::map<std::string, std::uint64_t, std::less<>>;  // by outcome
  Series& series(const Flow& flow, std::string_view outcome, TimePoint now);
  void forget_idle(TimePoint now);

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>, std::less<>> series_;
  std::map<int, Totals> totals_;  // by priority
  TimePoint swept_;
  std::unique_ptr<Histogram> cycles_;
};

}  // namespace llmd::picker
