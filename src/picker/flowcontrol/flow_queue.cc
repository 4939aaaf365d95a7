#include "picker/flowcontrol/flow_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace llmd::picker {

namespace {

// What must be freed before a request fits.
struct Need {
  std::int64_t requests = 0;
  std::int64_t bytes = 0;
  bool met() const { return requests <= 0 && bytes <= 0; }
};

Need need_of(const FlowItem& item, std::size_t requests, std::int64_t bytes, std::int64_t max_requests,
             std::int64_t max_bytes) {
  return {max_requests > 0 ? static_cast<std::int64_t>(requests) + 1 - max_requests : 0,
          max_bytes > 0 ? bytes + item.bytes - max_bytes : 0};
}

// Of requests in the order of arrival the newest, but the first `skipped` of them, until there is room.
template <typename Arrivals, typename Victims>
void choose_newest(const Arrivals& arrivals, std::size_t skipped, Need& need, Victims& victims) {
  for (auto item = std::next(arrivals.rbegin(), static_cast<std::ptrdiff_t>(skipped));
       !need.met() && item != arrivals.rend(); ++item) {
    victims.push_back(*item);
    --need.requests;
    need.bytes -= (*item)->bytes;
  }
}

}  // namespace

FlowQueue::FlowQueue(const FlowEntry& options, const Plan& plan, int shed_status)
    : options_(options), plan_(plan), shed_status_(shed_status) {
  make_band(0, options_.default_band);
  for (const BandEntry& band : options_.bands) {
    make_band(band.priority, band);
  }
}

FlowQueue::~FlowQueue() = default;

void FlowQueue::make_band(int priority, const BandEntry& limits) {
  Band& band = bands_[priority];
  band.limits = limits;
  band.fairness = plan_.find_as<FairnessPolicy>(limits.fairness);
  band.ordering = plan_.find_as<OrderingPolicy>(limits.ordering);
  band.one_flow = band.fairness == nullptr || band.fairness->ignores_flows();
}

void FlowQueue::set_priorities(std::span<const int> priorities) {
  for (auto& [priority, band] : bands_) {
    band.wanted = std::ranges::find(priorities, priority) != priorities.end();
  }
  bands_.at(0).wanted = true;
  for (const BandEntry& configured : options_.bands) {
    bands_.at(configured.priority).wanted = true;
  }
  for (const int priority : priorities) {
    if (!bands_.contains(priority)) {
      const bool negative = priority < 0 && options_.default_negative_band;
      make_band(priority, negative ? *options_.default_negative_band : options_.default_band);
      move_to_own_band(priority);
    }
  }
  unwanted_ = static_cast<std::size_t>(
      std::ranges::count_if(bands_, [](const auto& entry) { return !entry.second.wanted; }));
  drop_unwanted_bands();
}

void FlowQueue::drop_unwanted_bands() {
  if (unwanted_ > 0) {
    unwanted_ -= std::erase_if(
        bands_, [](const auto& entry) { return !entry.second.wanted && entry.second.requests == 0; });
  }
}

// Who came before the band did waits in band 0.
void FlowQueue::move_to_own_band(int priority) {
  std::vector<Waiting*> moved;
  for (const auto& [id, flow] : bands_.at(0).flows) {
    for (FlowItem* item : flow) {
      if (item->priority == priority) {
        moved.push_back(static_cast<Waiting*>(item));
      }
    }
  }
  std::ranges::sort(moved, {}, &FlowItem::number);
  for (Waiting* item : moved) {
    take_out(*item);
    item->band = priority;
    put_in(*item, bands_.at(priority));
  }
}

int FlowQueue::band_key(int priority) const {
  return bands_.contains(priority) ? priority : 0;
}

bool FlowQueue::is_full(const Band& band, const FlowItem& item) const {
  return !need_of(item, band.requests, band.bytes, band.limits.max_requests, band.limits.max_bytes).met() ||
         !need_of(item, size_, bytes_, options_.max_requests, options_.max_bytes).met();
}

// Its own band, which may be 0, and all of them have limits; who cannot help is left alone.
void FlowQueue::displace_for(const Band& band, const FlowItem& item) {
  Victims victims;
  Need own = need_of(item, band.requests, band.bytes, band.limits.max_requests, band.limits.max_bytes);
  choose_newest(band.arrivals, 0, own, victims);
  if (!own.met()) {
    victims.clear();
  }
  const std::size_t of_own = victims.size();
  Need all = need_of(item, size_, bytes_, options_.max_requests, options_.max_bytes);
  for (const Waiting* victim : victims) {
    --all.requests;
    all.bytes -= victim->bytes;
  }
  for (auto lowest = bands_.rbegin(); !all.met() && lowest != bands_.rend(); ++lowest) {
    choose_newest(lowest->second.arrivals, &lowest->second == &band ? of_own : 0, all, victims);
  }
  if (!all.met()) {
    victims.resize(of_own);
  }
  displaced_ += victims.size();
  Rejection rejection = saturated("displaced by a request of higher priority", shed_status_);
  rejection.reason = reason::kDisplaced;
  give_up(victims, rejection);
}

void FlowQueue::give_up(const Victims& victims, const Rejection& rejection) {
  for (Waiting* victim : victims) {
    take_out(*victim);
    victim->settle(rejection);
  }
}

std::expected<void, Rejection> FlowQueue::add(Waiting& item, TimePoint now) {
  item.band = band_key(item.priority);
  Band& band = bands_.at(item.band);
  if (is_full(band, item)) {
    if (item.priority <= 0) {
      return std::unexpected(pool_empty_ ? no_endpoints("no endpoints available: the request queue is full")
                                         : saturated("request queue is at capacity", shed_status_));
    }
    displace_for(band, item);
  }
  item.enqueued = now;
  item.ttl = options_.request_ttl;
  item.number = ++next_number_;
  put_in(item, band);
  return {};
}

void FlowQueue::put_in(Waiting& item, Band& band) {
  item.order = band.ordering != nullptr ? band.ordering->key(item) : 0;
  item.queued = true;
  item.flow_at = band.flows.try_emplace(band.one_flow ? std::string() : item.flow).first;
  item.place = item.flow_at->second.insert(&item).first;
  if (item.priority <= 0) {
    item.arrival = band.arrivals.insert(band.arrivals.end(), &item);
  }
  ++band.requests;
  band.bytes += item.bytes;
  ++size_;
  bytes_ += item.bytes;
}

void FlowQueue::take_out(Waiting& item) {
  Band& band = bands_.at(item.band);
  item.flow_at->second.erase(item.place);
  if (item.flow_at->second.empty()) {
    band.flows.erase(item.flow_at);
  }
  if (item.priority <= 0) {
    band.arrivals.erase(item.arrival);
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

void FlowQueue::refresh_ceilings(double saturation) {
  priorities_.clear();
  for (const auto& [priority, band] : bands_) {
    priorities_.push_back(priority);
  }
  ceilings_.assign(priorities_.size(), 1.0);
  if (plan_.usage_limit != nullptr) {
    plan_.usage_limit->ceilings(priorities_, saturation, ceilings_);
  }
  looked_with_ = saturation;
}

// As the last look had it.
double FlowQueue::ceiling_of(int priority) const {
  const auto at = std::ranges::find(priorities_, priority);
  return at == priorities_.end() ? 1 : ceilings_[static_cast<std::size_t>(at - priorities_.begin())];
}

bool FlowQueue::has_room(int priority, double saturation) {
  refresh_ceilings(saturation);
  return saturation < ceiling_of(band_key(priority));
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
    const auto flow = band.one_flow ? band.flows.begin() : band.fairness->choose(band.flows, band.last, now);
    auto& next = static_cast<Waiting&>(**flow->second.begin());
    if (!band.one_flow) {
      band.last = flow->first;
    }
    take_out(next);
    next.settle(std::nullopt);
    return true;
  }
  return false;
}

std::optional<FlowQueue::Blocked> FlowQueue::blocked() const {
  for (const auto& [priority, band] : bands_) {
    if (band.requests > 0) {
      const double ceiling = ceiling_of(priority);
      return looked_with_ >= ceiling ? std::optional(Blocked{priority, ceiling}) : std::nullopt;
    }
  }
  return std::nullopt;
}

FlowQueue::Waiting* FlowQueue::last() const {
  for (auto band = bands_.rbegin(); band != bands_.rend(); ++band) {
    if (!band->second.flows.empty()) {
      return static_cast<Waiting*>(*band->second.flows.rbegin()->second.rbegin());
    }
  }
  return nullptr;
}

void FlowQueue::pool_changed(bool empty, TimePoint now) {
  if (empty != pool_empty_) {
    pool_empty_ = empty;
    regime_since_ = now;
  }
}

Duration FlowQueue::budget() const {
  return pool_empty_ ? options_.no_endpoint_ttl.value_or(options_.request_ttl) : options_.request_ttl;
}

// A pool that keeps emptying and filling does not keep anybody waiting for longer than both budgets.
bool FlowQueue::is_late(const FlowItem& item, TimePoint now) const {
  const Duration in_room = options_.request_ttl;
  const Duration without = options_.no_endpoint_ttl.value_or(in_room);
  return now - std::max(item.enqueued, regime_since_) >= budget() ||
         (in_room > Duration::zero() && without > Duration::zero() &&
          now - item.enqueued >= in_room + without);
}

void FlowQueue::expire(TimePoint now) {
  if (budget() == Duration::zero()) {
    return;
  }
  Victims late;
  for (auto& [priority, band] : bands_) {
    for (Waiting* item : band.arrivals) {
      if (!is_late(*item, now)) {
        break;  // nor are those that came later
      }
      late.push_back(item);
    }
  }
  if (late.empty()) {
    return;
  }
  const std::string why =
      fmt::format("nothing within {:g}s", std::chrono::duration<double>(budget()).count());
  Rejection rejection =
      pool_empty_ ? no_endpoints("request timed out in queue and no endpoints are available: " + why)
                  : saturated("request timed out in queue: " + why, shed_status_);
  rejection.reason = pool_empty_ ? reason::kNoEndpoints : reason::kExpired;
  give_up(late, rejection);
}

void FlowQueue::reject_all(const Rejection& rejection) {
  Victims all;
  for (auto& [priority, band] : bands_) {
    for (auto& [id, flow] : band.flows) {
      for (FlowItem* item : flow) {
        all.push_back(static_cast<Waiting*>(item));
      }
    }
  }
  give_up(all, rejection);
}

json::Value FlowQueue::state() const {
  json::Array bands;
  for (const auto& [priority, band] : bands_) {
    std::map<std::string_view, std::size_t> lengths;
    for (const auto& [id, flow] : band.flows) {
      for (const FlowItem* item : flow) {
        ++lengths[item->flow];
      }
    }
    json::Object flows;
    for (const auto& [id, length] : lengths) {
      flows[id] = length;
    }
    bands.push_back(json::Value{{"priority", priority},
                                {"requests", band.requests},
                                {"bytes", band.bytes},
                                {"flows", std::move(flows)}});
  }
  return json::Value{{"waiting", size_}, {"displaced", displaced_}, {"bands", std::move(bands)}};
}

FlowTotals FlowQueue::totals() const {
  FlowTotals totals{
      .all = {static_cast<std::int64_t>(size_), bytes_, options_.max_requests, options_.max_bytes}};
  FlowSums sums(totals.queues);
  for (const auto& [priority, band] : bands_) {
    totals.bands.emplace_back(priority, FlowTotals::Used{static_cast<std::int64_t>(band.requests), band.bytes,
                                                         band.limits.max_requests, band.limits.max_bytes});
    for (const auto& [id, flow] : band.flows) {
      for (const FlowItem* item : flow) {
        sums.add(*item, priority);
      }
    }
  }
  return totals;
}

}  // namespace llmd::picker
