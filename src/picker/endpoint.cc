#include "picker/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

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

float& CustomNumbers::operator[](std::size_t slot) {
  if (slot < few_.size()) {
    return few_[slot];
  }
  if (slot >= size()) {
    more_.resize(slot + 1 - few_.size(), kAbsentNumber);
  }
  return more_[slot - few_.size()];
}

bool CustomNumbers::empty() const {
  const auto is_absent = [](float number) { return std::isnan(number); };
  return std::ranges::all_of(few_, is_absent) && std::ranges::all_of(more_, is_absent);
}

EndpointState::EndpointState(EndpointDescription described, std::uint32_t number, std::size_t custom_metrics)
    : id(number),
      endpoint(described->identity()),
      destination(endpoint.address.to_string()),
      full_name(endpoint.namespace_ + "/" + endpoint.name),
      session_token(crypto::to_base64(full_name)),
      custom_metrics_(std::max(custom_metrics, kInlineCustomMetrics)),
      more_custom_(custom_metrics > kInlineCustomMetrics
                       ? std::make_unique<std::atomic<float>[]>(custom_metrics - kInlineCustomMetrics)
                       : nullptr),
      described_(std::move(described)) {
  for (std::size_t slot = 0; slot < custom_metrics_; ++slot) {
    custom_at(slot).store(kAbsentNumber, std::memory_order_relaxed);
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
  for (std::size_t slot = 0; slot < std::min(custom_metrics_, report.custom.size()); ++slot) {
    keep(custom_at(slot), report.custom[slot]);
  }
  if (report.adapters) {
    if (*adapters_.load() != *report.adapters) {
      adapters_.store(std::make_shared<const Adapters>(*report.adapters));
    }
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

void EndpointState::unwatched() const {
  std::uint32_t before = contact_.load(std::memory_order_relaxed);
  std::uint32_t after = 0;
  do {
    after = (before & ~(kRefuses | kSuspected | kWatched)) + ((before & kRefuses) != 0 ? kChange : 0);
  } while (!contact_.compare_exchange_weak(before, after, std::memory_order_relaxed));
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

namespace {

std::string key_of(const EndpointIdentity& identity) {
  return fmt::format("{}/{} {} {} {}", identity.namespace_, identity.name, identity.address.to_string(),
                     identity.rank, identity.uid);
}

// The endpoints of the last snapshot, and those before them that requests still run on.
class Known {
 public:
  explicit Known(const EndpointSnapshot& previous) {
    for (const EndpointPtr& endpoint : previous.endpoints) {
      by_key_.emplace(key_of(endpoint->endpoint), endpoint);
      numbers_.insert(endpoint->id);
    }
    for (const auto& gone : previous.departed) {
      const EndpointPtr endpoint = gone.lock();
      if (endpoint && endpoint->running() > 0) {
        numbers_.insert(endpoint->id);
        if (endpoint->endpoint.uid.empty() || !by_key_.emplace(key_of(endpoint->endpoint), endpoint).second) {
          departed_.push_back(gone);
        }
      }
    }
  }

  // Null: it is new, or has been taken.
  EndpointPtr take(const std::string& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) {
      return nullptr;
    }
    EndpointPtr endpoint = std::move(found->second);
    by_key_.erase(found);
    return endpoint;
  }
  std::uint32_t free_number() {
    while (!numbers_.insert(next_).second) {
      ++next_;
    }
    return next_;
  }
  // Those that have not been taken.
  std::vector<std::weak_ptr<const EndpointState>> departed() && {
    for (const auto& [key, endpoint] : by_key_) {
      departed_.emplace_back(endpoint);
    }
    return std::move(departed_);
  }

 private:
  std::unordered_map<std::string, EndpointPtr> by_key_;
  std::vector<std::weak_ptr<const EndpointState>> departed_;  // that nobody can be known to be again
  std::unordered_set<std::uint32_t> numbers_;
  std::uint32_t next_ = 0;
};

}  // namespace

std::shared_ptr<const EndpointSnapshot> next_snapshot(const EndpointSnapshot& previous,
                                                      std::vector<Endpoint> endpoints,
                                                      const std::vector<EndpointPredicate>& predicates,
                                                      std::size_t custom_metrics) {
  auto next = std::make_shared<EndpointSnapshot>();
  next->version = previous.version + 1;
  next->endpoints.reserve(endpoints.size());
  next->described.reserve(endpoints.size());
  next->masks.reserve(endpoints.size());
  Known known(previous);
  std::unordered_set<std::string> listed;
  for (Endpoint& endpoint : endpoints) {
    const auto [key, is_first] = listed.insert(key_of(endpoint.identity()));
    if (!is_first) {
      continue;
    }
    EndpointPtr state = known.take(*key);
    EndpointDescription described = state ? state->described() : nullptr;
    if (!described || *described != endpoint) {
      described = std::make_shared<const Endpoint>(std::move(endpoint));
    }
    if (!state) {
      state = std::make_shared<const EndpointState>(described, known.free_number(), custom_metrics);
    }
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < predicates.size(); ++i) {
      mask |= std::uint64_t{predicates[i](*described)} << i;
    }
    next->masks.push_back(mask);
    next->endpoints.push_back(std::move(state));
    next->described.push_back(std::move(described));
  }
  next->departed = std::move(known).departed();
  return next;
}

}  // namespace llmd::picker
