// Endpoints, what is known about each, their snapshots, and the leases that count who uses them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/snapshot.h"
#include "base/clock.h"
#include "net/address.h"

namespace llmd::picker {

// What makes an endpoint this one. Whoever differs in any of it is another one, which has no requests yet and
// cold caches, also at the same address.
struct EndpointIdentity {
  net::Address address;
  std::string name;
  std::string namespace_;
  int rank = 0;
  std::string uid;
  bool operator==(const EndpointIdentity&) const = default;
};

// An endpoint as whoever lists it describes it. What is no part of its identity may change while it lives.
struct Endpoint {
  net::Address address;
  std::string name;  // of the pod, for people; unique together with the namespace
  std::map<std::string, std::string> labels;
  std::string namespace_ = "default";
  int rank = 0;                 // data-parallel rank: index of the port within the pod
  net::Address metrics = {};    // where numbers are scraped; port 0: the address
  net::Address kv_events = {};  // where KV events are published; port 0: as configured
  std::string pod = {};         // that has this port; empty: not known
  std::string hostname = {};    // that the pod has given itself; empty: none
  std::string node = {};        // address of the machine it runs on; empty: not known
  std::string uid = {};         // of the pod: another one of the same name differs in it; empty: not known
  bool operator==(const Endpoint&) const = default;

  EndpointIdentity identity() const { return {address, name, namespace_, rank, uid}; }
  const std::string* label(std::string_view key) const;
};
using EndpointDescription = std::shared_ptr<const Endpoint>;

// LoRA adapters as the engine reports them.
struct Adapters {
  std::vector<std::string> active;
  std::vector<std::string> waiting;
  int limit = 0;
  bool operator==(const Adapters&) const = default;
};

// A model that the engine lists under /v1/models.
struct ListedModel {
  std::string id;
  std::string owner;
  std::string parent;
};

inline constexpr float kAbsentNumber = std::numeric_limits<float>::quiet_NaN();
inline constexpr std::size_t kInlineCustomMetrics = 8;  // more than these cost an allocation per report
inline constexpr std::size_t kMostCustomMetrics = 256;  // of a configuration

// Custom metrics by slot, absent ones as NaN.
class CustomNumbers {
 public:
  CustomNumbers() { few_.fill(kAbsentNumber); }
  float operator[](std::size_t slot) const {
    return slot < few_.size() ? few_[slot] : slot < size() ? more_[slot - few_.size()] : kAbsentNumber;
  }
  float& operator[](std::size_t slot);
  std::size_t size() const { return few_.size() + more_.size(); }
  bool empty() const;  // all are absent

 private:
  std::array<float, kInlineCustomMetrics> few_;
  std::vector<float> more_;
};

// What one scrape found. NaN: not found, the last value stays.
struct EngineReport {
  static constexpr float kAbsent = kAbsentNumber;
  float waiting = kAbsent;   // requests
  float running = kAbsent;   // requests
  float kv_usage = kAbsent;  // 0..1
  float block_tokens = kAbsent;
  float blocks = kAbsent;
  std::optional<Adapters> adapters;
  CustomNumbers custom;
};

// An endpoint together with what is counted and reported about it. Lives as long as a snapshot or a lease
// refers to it, so that numbers survive updates of the list. Any thread.
//
// What every decision reads of every endpoint stands in the first cache line.
class alignas(64) EndpointState {
 public:
  explicit EndpointState(EndpointDescription described, std::uint32_t number = 0,
                         std::size_t custom_metrics = 0);
  const std::uint32_t id;  // small and unique among the endpoints of one picker

 private:
  mutable std::atomic<std::uint32_t> contact_{0};
  mutable std::atomic<int> running_{0};
  mutable std::atomic<float> waiting_{0};
  mutable std::atomic<float> reported_running_{0};
  mutable std::atomic<float> kv_usage_{0};
  mutable std::atomic<float> block_tokens_{0};
  mutable std::atomic<float> blocks_{0};
  mutable std::atomic<std::int64_t> tokens_{0};
  mutable std::atomic<std::int64_t> reported_at_{0};  // nanoseconds of the steady clock; 0: never

 public:
  const EndpointIdentity endpoint;  // its labels and the rest: described()
  const std::string destination;    // "10.0.0.1:8000", as headers name it
  const std::string full_name;      // "namespace/name"
  const std::string session_token;  // base64 of full_name

  // As it was listed last. Decisions read that of their snapshot instead, which costs them nothing.
  EndpointDescription described() const { return described_.load(); }
  void describe(EndpointDescription described) const { described_.store(std::move(described)); }

  // Counted by leases.
  int running() const { return running_.load(std::memory_order_relaxed); }
  std::int64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }

  // Written by scrapers.
  void report(const EngineReport& report, TimePoint now) const;
  void list_models(std::vector<ListedModel> models) const;
  struct Numbers {
    float waiting = 0;
    float running = 0;
    float kv_usage = 0;
    float block_tokens = 0;
    float blocks = 0;
  };
  Numbers numbers() const {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    return {waiting_.load(kRelaxed), reported_running_.load(kRelaxed), kv_usage_.load(kRelaxed),
            block_tokens_.load(kRelaxed), blocks_.load(kRelaxed)};
  }
  float custom(std::size_t slot) const { return custom_at(slot).load(std::memory_order_relaxed); }
  // Of a scraper that asks at the address that requests go to: it was connected, or refused.
  void connected(bool accepted) const;
  // A request could not be delivered. Counts until the scraper has looked again; where none looks, not at
  // all.
  void suspect() const;
  // That scraper asks no more: whether it refuses is not known.
  void unwatched() const;
  // It refuses connections, as far as is known: it is not chosen while others are there.
  bool unreachable() const {
    return (contact_.load(std::memory_order_relaxed) & (kRefuses | kSuspected)) != 0;
  }
  // How often it began or ceased to refuse: when this has changed, its caches are those of another process.
  std::uint32_t contact_changes() const { return contact_.load(std::memory_order_relaxed) / kChange; }
  // Since the last report that found something; infinite before the first.
  Duration age(TimePoint now) const {
    const std::int64_t at = reported_at_.load(std::memory_order_relaxed);
    return at == 0 ? Duration::max() : Duration(now.time_since_epoch().count() - at);
  }
  std::shared_ptr<const Adapters> adapters() const { return adapters_.load(); }
  std::shared_ptr<const std::vector<ListedModel>> models() const { return models_.load(); }

 private:
  friend class Lease;
  static constexpr std::uint32_t kRefuses = 1;
  static constexpr std::uint32_t kSuspected = 2;
  static constexpr std::uint32_t kWatched = 4;  // a scraper looks
  static constexpr std::uint32_t kChange = 8;   // and above: a count
  std::atomic<float>& custom_at(std::size_t slot) const {
    return slot < kInlineCustomMetrics ? custom_[slot] : more_custom_[slot - kInlineCustomMetrics];
  }
  mutable std::array<std::atomic<float>, kInlineCustomMetrics> custom_;
  const std::size_t custom_metrics_;
  const std::unique_ptr<std::atomic<float>[]> more_custom_;  // null: there are no more
  mutable async::Snapshot<Endpoint> described_;
  mutable async::Snapshot<Adapters> adapters_;
  mutable async::Snapshot<std::vector<ListedModel>> models_;
};
using EndpointPtr = std::shared_ptr<const EndpointState>;

// Counts one request and its prompt tokens on its endpoint while it lives. Released exactly once, by the
// destructor (or earlier by release()), whatever ends the request.
class Lease {
 public:
  Lease() = default;
  explicit Lease(EndpointPtr endpoint, std::int64_t tokens = 0);
  Lease(Lease&& other) noexcept
      : endpoint_(std::exchange(other.endpoint_, nullptr)), tokens_(std::exchange(other.tokens_, 0)) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }

  void release();
  // The prompt has been read: its tokens no longer wait, the request still runs.
  void release_tokens();
  const EndpointPtr& endpoint() const { return endpoint_; }
  explicit operator bool() const { return endpoint_ != nullptr; }

 private:
  EndpointPtr endpoint_;
  std::int64_t tokens_ = 0;
};

// A property of endpoints, evaluated once per description (label filters).
using EndpointPredicate = std::function<bool(const Endpoint&)>;

// All endpoints of one pool at one time. Immutable. By row:
struct EndpointSnapshot {
  std::vector<EndpointPtr> endpoints;
  std::vector<EndpointDescription> described;  // what this snapshot says about each
  std::vector<std::uint64_t> masks;            // of each, one bit for each predicate
  // Not listed at this time, but requests may still run there.
  std::vector<std::weak_ptr<const EndpointState>> departed;
  std::uint64_t version = 0;  // rises with every change
  int running() const;        // requests on all of them
};

// The snapshot that follows `previous`: endpoints of the same identity keep their state, new ones get the
// smallest number that no endpoint of either snapshot has and no request refers to. A pod that is known by
// its UID and was not listed for a while finds its state again while requests run there; without a UID it may
// be another one of that name. An endpoint that is listed twice is one. `custom_metrics`: slots of
// EndpointState::custom.
std::shared_ptr<const EndpointSnapshot> next_snapshot(const EndpointSnapshot& previous,
                                                      std::vector<Endpoint> endpoints,
                                                      const std::vector<EndpointPredicate>& predicates = {},
                                                      std::size_t custom_metrics = 0);

}  // namespace llmd::picker
