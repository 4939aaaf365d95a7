// FlowTotals: what waits, summed up for /metrics. Taken under flow control's lock, written down without it: a
// page about 50,000 waiting requests must not keep them waiting.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "picker/flowcontrol/policies.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

struct FlowTotals {
  // At most so many; who comes later is summed up as "other".
  static constexpr std::size_t kMostQueues = 10'000;

  struct Queue {
    std::string flow;  // fairness id
    int band = 0;
    std::string model;
    std::string target;
    std::int64_t requests = 0;
    std::int64_t bytes = 0;
  };
  struct Used {
    std::int64_t requests = 0;
    std::int64_t bytes = 0;
    std::int64_t max_requests = 0;  // 0: no limit
    std::int64_t max_bytes = 0;
  };
  std::vector<Queue> queues;
  std::vector<std::pair<int, Used>> bands;
  Used all;

  void write(Page& page, std::string_view pool) const;
};

// Adds requests up by flow, band and models. The requests must stay while it lives.
class FlowSums {
 public:
  explicit FlowSums(std::vector<FlowTotals::Queue>& queues) : queues_(queues) {}
  void add(const FlowItem& item, int band);

 private:
  struct Key {
    std::string_view flow;
    int band = 0;
    std::string_view model;
    std::string_view target;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  std::vector<FlowTotals::Queue>& queues_;
  std::unordered_map<Key, std::size_t, Hash> places_;
};

}  // namespace llmd::picker
