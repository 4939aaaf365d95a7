// What flow control asks of its policies. All calls come under the queue's lock.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "picker/framework.h"

namespace llmd::picker {

// A request that waits.
struct FlowItem {
  int priority = 0;
  std::string flow;    // fairness id
  std::string model;   // as the client wrote it
  std::string target;  // as the engine is asked for it
  TimePoint received;
  TimePoint enqueued;
  Duration ttl{};           // zero: none
  double slo_ttft_ms = -1;  // below 0: none
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;   // of the prompt
  std::uint64_t number = 0;  // in the order of arrival
  std::int64_t order = 0;    // what the ordering policy said
};

// Within a flow, what has the smallest key goes first; equal keys in the order of arrival.
class OrderingPolicy : virtual public Plugin {
 public:
  virtual std::int64_t key(const FlowItem& item) const = 0;
};

struct ItemOrder {
  bool operator()(const FlowItem* a, const FlowItem* b) const {
    return a->order != b->order ? a->order < b->order : a->number < b->number;
  }
};
using Flow = std::set<FlowItem*, ItemOrder>;
using Flows = std::map<std::string, Flow, std::less<>>;  // by fairness id; none is empty

// Chooses the flow of a band whose first request goes next.
class FairnessPolicy : virtual public Plugin {
 public:
  // All requests of the band stand in one queue, whatever their flow; choose() is not asked.
  virtual bool ignores_flows() const { return false; }
  // `last`: the flow that was served before in this band.
  virtual Flows::const_iterator choose(const Flows& flows, const std::string& last, TimePoint now) const {
    static_cast<void>(last);
    static_cast<void>(now);
    return flows.begin();
  }
};

}  // namespace llmd::picker
