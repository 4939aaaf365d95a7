#include "picker/flowcontrol/eviction.h"

#include <algorithm>
#include <cmath>

namespace llmd::picker {
namespace {

constexpr std::size_t kMostAtOnce = 2;
constexpr Duration kPatience = std::chrono::seconds(10);

}  // namespace

void Evictor::add(Running& running) {
  running_.insert(&running);
}

void Evictor::remove(Running& running, TimePoint now) {
  if (running.round == 0) {
    running_.erase(&running);
    return;
  }
  if (running.round != round_ || pending_ == 0) {
    return;  // it was given up, and may not stand for one of those asked since
  }
  ++confirmed_;
  confirmation_seconds_ += std::chrono::duration<double>(now - running.asked_at).count();
  if (--pending_ == 0) {
    quiet_until_ = now + grace_;
  }
}

// Those who were asked have ended, or had their time.
bool Evictor::may_ask(TimePoint now) {
  if (pending_ > 0 && now - asked_at_ >= kPatience) {
    timed_out_ += pending_;
    pending_ = 0;
  }
  return pending_ == 0 && now >= quiet_until_;
}

std::size_t Evictor::reclaim(const Demand& demand, TimePoint now) {
  if (demand.ceiling <= 0 || demand.saturation < demand.ceiling || demand.in_flight <= 0 || !may_ask(now)) {
    return 0;
  }
  const double of_each = demand.saturation / demand.in_flight;
  const double over = std::ceil((demand.saturation - demand.ceiling) / of_each);
  target_ = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(over, 1.0)), 1, kMostAtOnce);
  std::size_t asked = 0;
  ++round_;
  for (auto next = running_.begin();
       asked < target_ && next != running_.end() && (*next)->priority < demand.priority;) {
    Running& victim = **next++;
    if (!has_ || victim.endpoint == nullptr || has_(*victim.endpoint)) {
      ask(victim, now);
      ++asked;
    }
  }
  asked_at_ = asked > 0 ? now : asked_at_;
  return asked;
}

void Evictor::ask(Running& victim, TimePoint now) {
  running_.erase(&victim);
  victim.round = round_;
  victim.asked_at = now;
  ++issued_[victim.priority];
  ++pending_;
  victim.evict();
}

void Evictor::write(Page& page, std::string_view pool) const {
  for (const auto& [priority, count] : issued_) {
    page.counter(
        "llm_d_epp_flow_control_revocations_issued_total", "Running requests that were asked to end.",
        {{"priority", std::to_string(priority)}, {"inference_pool", pool}}, static_cast<double>(count));
  }
  const auto outcome = [&](std::string_view name, std::uint64_t count) {
    page.counter("llm_d_epp_flow_control_revocations_total",
                 "Running requests that were asked to end, and did.",
                 {{"outcome", name}, {"inference_pool", pool}}, static_cast<double>(count));
  };
  outcome("confirmed", confirmed_);
  outcome("timed_out", timed_out_);
  page.gauge("llm_d_epp_flow_control_reclaim_target", "Requests that the last decision wanted to end.",
             {{"inference_pool", pool}}, static_cast<double>(target_));
  page.gauge("llm_d_epp_flow_control_pending_reclaim", "Requests that were asked to end and have not.",
             {{"inference_pool", pool}}, static_cast<double>(pending_));
  metrics::Histogram::Snapshot took{.cumulative = {confirmed_}, .sum = confirmation_seconds_};
  page.histogram("llm_d_epp_flow_control_revocation_confirmation_seconds",
                 "From asking a request to end until it has.", {{"inference_pool", pool}}, {},
                 std::move(took));
}

}  // namespace llmd::picker
