#include "picker/flowcontrol/flow_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace llmd::picker {

FlowQueue::FlowQueue(const FlowEntry& options, const Plan& plan, int shed_status)
    : options_(options), plan_(plan), shed_status_(shed_status) {
  make_band(0, options_.default_band, true);
  for (const BandEntry& band : options_.bands) {
    bands_.erase(band.priority);
    make_band(band.priority, band, true);
  }
}

FlowQueue::~FlowQueue() = default;

void FlowQueue::make_band(int priority, const BandEntry& limits, bool configured) {
  Band& band = bands_[priority];
  band.limits = limits;
  band.configured = configured;
  band.fairness = plan_.find_as<FairnessPolicy>(limits.fairness);
  band.ordering = plan_.find_as<OrderingPolicy>(limits.ordering);
}

void FlowQueue::set_priorities(std::span<const int> priorities) {
  for (const int priority : priorities) {
    if (!bands_.contains(priority)) {
      const bool negative = priority < 0 && options_.default_negative_band;
      make_band(priority, negative ? *options_.default_negative_band : options_.default_band, false);
    }
  }
  std::erase_if(bands_, [&](const auto& entry) {
    return !entry.second.configured && entry.second.requests == 0 &&
           std::ranges::find(priorities, entry.first) == priorities.end();
  });
}

int FlowQueue::band_key(int priority) const {
  return bands_.contains(priority) ? priority : 0;
}

bool FlowQueue::is_full(const Band& band, const FlowItem& item) const {
  const auto exceeds = [](std::int64_t used, std::int64_t more, std::int64_t limit) {
    return limit > 0 && used + more > limit;
  };
  return exceeds(static_cast<std::int64_t>(band.requests), 1, band.limits.max_requests) ||
         exceeds(band.bytes, item.bytes, band.limits.max_bytes) ||
         exceeds(static_cast<std::int64_t>(size_), 1, options_.max_requests) ||
         exceeds(bytes_, item.bytes, options_.max_bytes);
}

// The newest request of the lowest band below `priority` makes room.
bool FlowQueue::displace_below(int priority) {
  for (auto band = bands_.rbegin(); band != bands_.rend() && band->first < priority; ++band) {
    Waiting* newest = nullptr;
    for (const auto& [id, flow] : band->second.flows) {
      for (FlowItem* item : flow) {
        if (newest == nullptr || item->number > newest->number) {
          newest = static_cast<Waiting*>(item);
        }
      }
    }
    if (newest != nullptr && newest->priority < priority) {
      take_out(*newest);
      ++displaced_;
      Rejection rejection = saturated("displaced by a request of higher priority", shed_status_);
      rejection.reason = reason::kDisplaced;
      newest->settle(std::move(rejection));
      return true;
    }
  }
  return false;
}

std::expected<void, Rejection> FlowQueue::add(Waiting& item, TimePoint now) {
  item.band = band_key(item.priority);
  Band& band = bands_.at(item.band);
  const bool critical = item.priority > 0;
  while (is_full(band, item)) {
    if (!critical) {
      return std::unexpected(pool_empty_ ? no_endpoints("no endpoints available: the request queue is full")
                                         : saturated("request queue is at capacity", shed_status_));
    }
    if (!displace_below(item.priority)) {
      break;
    }
  }
  item.enqueued = now;
  item.ttl = options_.request_ttl;
  item.number = ++next_number_;
  item.order = band.ordering != nullptr ? band.ordering->key(item) : 0;
  item.queued = true;
  band.flows[item.flow].insert(&item);
  ++band.requests;
  band.bytes += item.bytes;
  ++size_;
  bytes_ += item.bytes;
  return {};
}

void FlowQueue::take_out(Waiting& item) {
  Band& band = bands_.at(item.band);
  const auto flow = band.flows.find(item.flow);
  flow->second.erase(&item);
  if (flow->second.empty()) {
    band.flows.erase(flow);
  }
  --band.requests;
  band.bytes -= item.bytes;
  --size_;
  bytes_ -= item.bytes;
  item.queued = false;
}

void FlowQueue::remove(Waiting& item) {
  if (item.queued) {
    take_out(item);
  }
}

void FlowQueue::refresh_ceilings(double saturation) const {
  priorities_.clear();
  for (const auto& [priority, band] : bands_) {
    priorities_.push_back(priority);
  }
  ceilings_.assign(priorities_.size(), 1.0);
  if (plan_.usage_limit != nullptr) {
    plan_.usage_limit->ceilings(priorities_, saturation, ceilings_);
  }
}

bool FlowQueue::has_room(int priority, double saturation) const {
  refresh_ceilings(saturation);
  const auto at = std::ranges::find(priorities_, band_key(priority)) - priorities_.begin();
  return saturation < ceilings_[static_cast<std::size_t>(at)];
}

bool FlowQueue::must_wait(int priority) const {
  const int own = band_key(priority);
  return std::ranges::any_of(
      bands_, [own](const auto& entry) { return entry.first >= own && entry.second.requests > 0; });
}

bool FlowQueue::dispatch_one(double saturation, TimePoint now) {
  if (size_ == 0) {
    return false;
  }
  refresh_ceilings(saturation);
  std::size_t index = 0;
  for (auto& [priority, band] : bands_) {
    if (saturation >= ceilings_[index++]) {
      return false;  // strict: nobody below gets what this band may not have
    }
    if (band.flows.empty()) {
      continue;
    }
    const auto flow =
        band.fairness != nullptr ? band.fairness->choose(band.flows, band.last, now) : band.flows.begin();
    auto& next = static_cast<Waiting&>(**flow->second.begin());
    band.last = flow->first;
    take_out(next);
    next.settle(std::nullopt);
    return true;
  }
  return false;
}

std::optional<FlowQueue::Blocked> FlowQueue::blocked(double saturation) const {
  refresh_ceilings(saturation);
  std::size_t index = 0;
  for (const auto& [priority, band] : bands_) {
    const double ceiling = ceilings_[index++];
    if (band.requests > 0) {
      return saturation >= ceiling ? std::optional(Blocked{priority, ceiling}) : std::nullopt;
    }
  }
  return std::nullopt;
}

void FlowQueue::pool_changed(bool empty, TimePoint now) {
  if (empty != pool_empty_) {
    pool_empty_ = empty;
    regime_since_ = now;
  }
}

void FlowQueue::expire(TimePoint now) {
  const Duration budget =
      pool_empty_ ? options_.no_endpoint_ttl.value_or(options_.request_ttl) : options_.request_ttl;
  if (budget == Duration::zero()) {
    return;
  }
  std::vector<Waiting*> late;
  for (auto& [priority, band] : bands_) {
    for (auto& [id, flow] : band.flows) {
      for (FlowItem* item : flow) {
        if (item->priority <= 0 && now - std::max(item->enqueued, regime_since_) >= budget) {
          late.push_back(static_cast<Waiting*>(item));
        }
      }
    }
  }
  for (Waiting* item : late) {
    take_out(*item);
    const std::string why =
        fmt::format("nothing within {:g}s", std::chrono::duration<double>(budget).count());
    Rejection rejection =
        pool_empty_ ? no_endpoints("request timed out in queue and no endpoints are available: " + why)
                    : saturated("request timed out in queue: " + why, shed_status_);
    rejection.reason = pool_empty_ ? reason::kNoEndpoints : reason::kExpired;
    item->settle(std::move(rejection));
  }
}

void FlowQueue::reject_all(const Rejection& rejection) {
  std::vector<Waiting*> all;
  for (auto& [priority, band] : bands_) {
    for (auto& [id, flow] : band.flows) {
      for (FlowItem* item : flow) {
        all.push_back(static_cast<Waiting*>(item));
      }
    }
  }
  for (Waiting* item : all) {
    take_out(*item);
    item->settle(rejection);
  }
}

json::Value FlowQueue::state() const {
  json::Array bands;
  for (const auto& [priority, band] : bands_) {
    json::Object flows;
    for (const auto& [id, flow] : band.flows) {
      flows[id] = flow.size();
    }
    bands.push_back(json::Value{{"priority", priority},
                                {"requests", band.requests},
                                {"bytes", band.bytes},
                                {"flows", std::move(flows)}});
  }
  return json::Value{{"waiting", size_}, {"displaced", displaced_}, {"bands", std::move(bands)}};
}

void FlowQueue::write(Page& page, std::string_view pool) const {
  const auto share = [&page](std::string_view name, const LabelText& labels, double used,
                             std::int64_t limit) {
    if (limit > 0) {
      page.gauge(name, "Share of the limit that waiting requests use.", labels,
                 used / static_cast<double>(limit));
    }
  };
  for (const auto& [priority, band] : bands_) {
    const std::string level = std::to_string(priority);
    const LabelText labels{{"priority", level}, {"inference_pool", pool}};
    share("llm_d_epp_flow_control_capacity_utilization_requests", labels, static_cast<double>(band.requests),
          band.limits.max_requests);
    share("llm_d_epp_flow_control_capacity_utilization_bytes", labels, static_cast<double>(band.bytes),
          band.limits.max_bytes);
    for (const auto& [id, flow] : band.flows) {
      for (const FlowItem* item : flow) {
        const LabelText of_item{{"fairness_id", id},
                                {"priority", level},
                                {"inference_pool", pool},
                                {"model_name", item->model},
                                {"target_model_name", item->target}};
        for (const std::string_view prefix : {"llm_d_epp_", "inference_extension_"}) {
          page.gauge(fmt::format("{}flow_control_queue_size", prefix), "Requests that wait.", of_item, 1);
          page.gauge(fmt::format("{}flow_control_queue_bytes", prefix), "Bytes of requests that wait.",
                     of_item, static_cast<double>(item->bytes));
        }
      }
    }
  }
  const LabelText of_pool{{"inference_pool", pool}};
  share("llm_d_epp_flow_control_global_capacity_utilization_requests", of_pool, static_cast<double>(size_),
        options_.max_requests);
  share("llm_d_epp_flow_control_global_capacity_utilization_bytes", of_pool, static_cast<double>(bytes_),
        options_.max_bytes);
}

}  // namespace llmd::picker
