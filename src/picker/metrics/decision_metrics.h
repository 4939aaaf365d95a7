// DecisionMetrics: how long decisions take, where they go and what they expect to be cached, under llm-d's
// names of both eras.
//
// Each thread counts into memory of its own; a page adds the threads up. Any thread. At most 1000
// combinations of model and endpoint per thread get series of their own, the rest is called "other".
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "picker/evaluate.h"
#include "picker/metrics/page.h"
#include "picker/per_thread.h"
#include "picker/plan.h"

namespace llmd::picker {

class DecisionMetrics {
 public:
  DecisionMetrics();
  ~DecisionMetrics();

  void decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took);
  void rejected(const Cycle& cycle, Duration took);

  void write(Page& page) const;

 private:
  struct Attempts;  // of one model at one endpoint
  struct Stage;     // decisions of one model for one set of stages
  struct Hits;      // of one predictor
  struct Shard;     // one thread's numbers
  Attempts& attempts(Shard& own, const EndpointState* endpoint, std::string_view model);
  Stage& stages_of(Shard& own, std::string_view model, std::string_view type, const Plugin& handler);
  Hits& hits(Shard& own, const Plugin& predictor);

  // Guards what threads add to their own shard; a thread reads its own without it.
  mutable std::mutex mutex_;
  PerThread<Shard> shards_;
};

}  // namespace llmd::picker
