#include "picker/endpoint.h"

#include <algorithm>

namespace llmd::picker {

Lease::Lease(EndpointPtr endpoint) : endpoint_(std::move(endpoint)) {
  endpoint_->running_.fetch_add(1, std::memory_order_relaxed);
}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    endpoint_ = std::exchange(other.endpoint_, nullptr);
  }
  return *this;
}

void Lease::release() {
  if (const auto endpoint = std::exchange(endpoint_, nullptr)) {
    endpoint->running_.fetch_sub(1, std::memory_order_relaxed);
  }
}

int EndpointSnapshot::running() const {
  int total = 0;
  for (const auto& endpoint : endpoints) {
    total += endpoint->running();
  }
  return total;
}

std::shared_ptr<const EndpointSnapshot> next_snapshot(const EndpointSnapshot& previous,
                                                      std::vector<Endpoint> endpoints) {
  auto next = std::make_shared<EndpointSnapshot>();
  next->endpoints.reserve(endpoints.size());
  for (Endpoint& endpoint : endpoints) {
    const auto same = std::ranges::find_if(
        previous.endpoints, [&](const EndpointPtr& known) { return known->endpoint == endpoint; });
    next->endpoints.push_back(same != previous.endpoints.end()
                                  ? *same
                                  : std::make_shared<const EndpointState>(std::move(endpoint)));
  }
  return next;
}

}  // namespace llmd::picker
