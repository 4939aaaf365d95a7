// RequestMetrics: what requests cost and how they ended, by model, fairness id and priority, under llm-d's
// names of both eras (the older ones by model only).
//
// Each thread counts into memory of its own, so that a request costs a few additions and a look-up; a page
// adds the threads up. Any thread. At most 1000 models, 1000 fairness ids and 10,000 combinations get series
// of their own, the rest is called "other".
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "picker/decision.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class RequestMetrics {
 public:
  RequestMetrics();
  ~RequestMetrics();

  // Its endpoint is chosen.
  void began(const Decision::Memory& memory);
  // The time between two pieces of a stream.
  void gap(const Decision::Memory& memory, Duration between);
  void ended(const Decision::Memory& memory, const Completion& completion, TimePoint now);
  // It goes nowhere; `code` as in Rejection.
  void refused(const Request& request, std::string_view code);

  // Models that configuration names; they always get series of their own.
  void know_model(std::string_view model);

  void write(Page& page) const;

 private:
  struct Labels;
  struct Shard;   // one thread's numbers of one set of labels
  struct Series;  // all threads' shards
  Shard& shard(const Decision::Memory& memory);
  Labels bounded(std::string_view model, std::string_view target, std::string_view fairness, int priority);
  void count_error(Labels labels, std::string_view code);

  // Under the lock.
  void write_counts(Page& page) const;
  void write_errors(Page& page) const;
  void write_distributions(Page& page) const;

  const std::uint64_t id_;  // never used again, so that threads may keep addresses of what is gone
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Series>> series_;  // by joined labels
  std::set<std::string, std::less<>> models_;
  std::set<std::string, std::less<>> fairness_ids_;
  struct Errors;
  std::map<std::string, Errors> errors_;  // rare, so under the lock
};

}  // namespace llmd::picker
