#include "picker/picker.h"

#include <fmt/format.h>

#include <algorithm>

namespace llmd::picker {

std::string Decision::explanation() const {
  return fmt::format("{} ({}): least loaded of {}, {} requests running", endpoint().name,
                     endpoint().address.to_string(), candidates, running);
}

Result<Decision> Picker::pick(const Request&, std::span<const EndpointPtr> exclude) const {
  const auto snapshot = snapshot_.load();
  const auto& endpoints = snapshot->endpoints;
  if (endpoints.empty()) {
    return unavailable("no endpoint is ready");
  }
  // Starting elsewhere each time spreads ties evenly.
  const std::size_t start = turn_.fetch_add(1, std::memory_order_relaxed) % endpoints.size();
  Decision decision;
  const EndpointPtr* best = nullptr;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointPtr& candidate = endpoints[(start + i) % endpoints.size()];
    if (std::ranges::find(exclude, candidate) != exclude.end()) {
      continue;
    }
    ++decision.candidates;
    const int running = candidate->running();
    if (best == nullptr || running < decision.running) {
      best = &candidate;
      decision.running = running;
    }
  }
  if (best == nullptr) {
    return unavailable("all {} endpoints have failed for this request", endpoints.size());
  }
  decision.lease = Lease(*best);
  return decision;
}

void Picker::update(std::vector<Endpoint> endpoints) {
  snapshot_.store(next_snapshot(*snapshot_.load(), std::move(endpoints)));
}

}  // namespace llmd::picker
