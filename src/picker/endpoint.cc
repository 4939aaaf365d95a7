#include "picker/endpoint.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "crypto/encode.h"

namespace llmd::picker {

const std::string* Endpoint::label(std::string_view key) const {
  for (const auto& [name_, value] : labels) {
    if (name_ == key) {
      return &value;
    }
  }
  return nullptr;
}

EndpointState::EndpointState(Endpoint described, std::uint32_t number)
    : id(number),
      endpoint(std::move(described)),
      destination(endpoint.address.to_string()),
      full_name(endpoint.namespace_ + "/" + endpoint.name),
      session_token(crypto::to_base64(full_name)) {
  for (auto& value : custom_) {
    value.store(EngineReport::kAbsent, std::memory_order_relaxed);
  }
}

void EndpointState::report(const EngineReport& report, TimePoint now) const {
  bool found = false;
  const auto keep = [&found](std::atomic<float>& into, float value) {
    if (!std::isnan(value)) {
      into.store(value, std::memory_order_relaxed);
      found = true;
    }
  };
  keep(waiting_, report.waiting);
  keep(reported_running_, report.running);
  keep(kv_usage_, report.kv_usage);
  keep(block_tokens_, report.block_tokens);
  keep(blocks_, report.blocks);
  for (std::size_t i = 0; i < kCustomMetrics; ++i) {
    keep(custom_[i], report.custom[i]);
  }
  if (report.adapters) {
    adapters_.store(std::make_shared<const Adapters>(*report.adapters));
    found = true;
  }
  if (found) {
    reported_at_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
}

void EndpointState::list_models(std::vector<ListedModel> models) const {
  models_.store(std::make_shared<const std::vector<ListedModel>>(std::move(models)));
}

void EndpointState::connected(bool accepted) const {
  std::uint32_t before = contact_.load(std::memory_order_relaxed);
  std::uint32_t after = 0;
  do {
    after = (before & ~(kRefuses | kSuspected)) | kWatched | (accepted ? 0 : kRefuses);
    if (((before ^ after) & kRefuses) != 0) {
      after += kChange;
    }
  } while (!contact_.compare_exchange_weak(before, after, std::memory_order_relaxed));
}

void EndpointState::suspect() const {
  std::uint32_t before = contact_.load(std::memory_order_relaxed);
  while ((before & kWatched) != 0 &&
         !contact_.compare_exchange_weak(before, before | kSuspected, std::memory_order_relaxed)) {
  }
}

Lease::Lease(EndpointPtr endpoint, std::int64_t tokens) : endpoint_(std::move(endpoint)), tokens_(tokens) {
  endpoint_->running_.fetch_add(1, std::memory_order_relaxed);
  endpoint_->tokens_.fetch_add(tokens_, std::memory_order_relaxed);
}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    endpoint_ = std::exchange(other.endpoint_, nullptr);
    tokens_ = std::exchange(other.tokens_, 0);
  }
  return *this;
}

void Lease::release_tokens() {
  if (endpoint_) {
    endpoint_->tokens_.fetch_sub(std::exchange(tokens_, 0), std::memory_order_relaxed);
  }
}

void Lease::release() {
  release_tokens();
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
                                                      std::vector<Endpoint> endpoints,
                                                      const std::vector<EndpointPredicate>& predicates) {
  auto next = std::make_shared<EndpointSnapshot>();
  next->version = previous.version + 1;
  next->endpoints.reserve(endpoints.size());
  std::map<std::string, EndpointPtr> known;
  std::set<std::uint32_t> taken;
  for (const EndpointPtr& endpoint : previous.endpoints) {
    known.emplace(endpoint->full_name + " " + endpoint->destination, endpoint);
    taken.insert(endpoint->id);
  }
  std::uint32_t number = 0;
  for (Endpoint& endpoint : endpoints) {
    const auto same =
        known.find(endpoint.namespace_ + "/" + endpoint.name + " " + endpoint.address.to_string());
    if (same != known.end() && same->second->endpoint == endpoint) {
      next->endpoints.push_back(same->second);
    } else {
      while (!taken.insert(number).second) {
        ++number;
      }
      next->endpoints.push_back(std::make_shared<const EndpointState>(std::move(endpoint), number));
    }
  }
  for (const EndpointPtr& endpoint : next->endpoints) {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < predicates.size(); ++i) {
      mask |= std::uint64_t{predicates[i](endpoint->endpoint)} << i;
    }
    next->masks.push_back(mask);
  }
  return next;
}

}  // namespace llmd::picker
