#include "picker/flowcontrol/flow_totals.h"

#include <fmt/format.h>

namespace llmd::picker {
namespace {

void write_share(Page& page, std::string_view name, const LabelText& labels, std::int64_t used,
                 std::int64_t limit) {
  if (limit > 0) {
    page.gauge(name, "Share of the limit that waiting requests use.", labels,
               static_cast<double>(used) / static_cast<double>(limit));
  }
}

}  // namespace

std::size_t FlowSums::Hash::operator()(const Key& key) const {
  std::size_t all = static_cast<std::size_t>(key.band);
  for (const std::string_view text : {key.flow, key.model, key.target}) {
    all = all * 0x9e3779b97f4a7c15ULL + std::hash<std::string_view>()(text);
  }
  return all;
}

void FlowSums::add(const FlowItem& item, int band) {
  Key key{item.flow, band, item.model, item.target};
  if (queues_.size() >= FlowTotals::kMostQueues && !places_.contains(key)) {
    key.flow = key.model = key.target = "other";
  }
  const auto [place, is_new] = places_.try_emplace(key, queues_.size());
  if (is_new) {
    queues_.push_back({std::string(key.flow), band, std::string(key.model), std::string(key.target)});
  }
  FlowTotals::Queue& queue = queues_[place->second];
  ++queue.requests;
  queue.bytes += item.bytes;
}

void FlowTotals::write(Page& page, std::string_view pool) const {
  for (const auto& [priority, used] : bands) {
    const LabelText labels{{"priority", std::to_string(priority)}, {"inference_pool", pool}};
    write_share(page, "llm_d_epp_flow_control_capacity_utilization_requests", labels, used.requests,
                used.max_requests);
    write_share(page, "llm_d_epp_flow_control_capacity_utilization_bytes", labels, used.bytes,
                used.max_bytes);
  }
  for (const Queue& queue : queues) {
    const LabelText labels{{"fairness_id", queue.flow},
                           {"priority", std::to_string(queue.band)},
                           {"inference_pool", pool},
                           {"model_name", queue.model},
                           {"target_model_name", queue.target}};
    for (const std::string_view prefix : {"llm_d_epp_", "inference_extension_"}) {
      page.gauge(fmt::format("{}flow_control_queue_size", prefix), "Requests that wait.", labels,
                 static_cast<double>(queue.requests));
      page.gauge(fmt::format("{}flow_control_queue_bytes", prefix), "Bytes of requests that wait.", labels,
                 static_cast<double>(queue.bytes));
    }
  }
  const LabelText of_pool{{"inference_pool", pool}};
  write_share(page, "llm_d_epp_flow_control_global_capacity_utilization_requests", of_pool, all.requests,
              all.max_requests);
  write_share(page, "llm_d_epp_flow_control_global_capacity_utilization_bytes", of_pool, all.bytes,
              all.max_bytes);
}

}  // namespace llmd::picker
