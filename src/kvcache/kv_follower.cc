#include "kvcache/kv_follower.h"

#include <atomic>
#include <map>
#include <mutex>

#include "base/assert.h"

namespace llmd::kvcache {
namespace {

std::string tcp_endpoint(std::string_view host, std::uint32_t port) {
  const bool bare_ipv6 = host.contains(':') && !host.starts_with('[');
  return bare_ipv6 ? fmt::format("tcp://[{}]:{}", host, port) : fmt::format("tcp://{}:{}", host, port);
}

}  // namespace

struct KvFollower::State final : EventSink {
  struct Engine {
    KvTarget target;
    EndpointHandle endpoint;
    std::optional<SourceId> source;
  };
  struct Speaker {
    EndpointHandle endpoint;
    std::string model;  // where the topic does not say it
    std::string address;
  };

  KvIndex& index;
  Options options;
  mutable std::mutex mutex;  // guards the three below; never held while the index is called
  std::map<std::string, Engine, std::less<>> engines;  // by address
  std::map<SourceId, Speaker> by_source;
  std::uint64_t strangers = 0;
  std::atomic<std::size_t> in_hand{0};
  std::optional<SourceId> central;
  std::unique_ptr<EventSubscriber> subscriber;  // last: it calls into this

  State(KvIndex& i, Options o) : index(i), options(std::move(o)) {}

  // Who sent this. Our own subscriptions tell by themselves; on the central socket the topic is all there is.
  std::optional<Speaker> speaker(SourceId source, std::string_view topic) {
    const std::lock_guard lock(mutex);
    if (const auto known = by_source.find(source); known != by_source.end()) {
      return known->second;
    }
    const auto engine = engines.find(parse_topic(topic).pod);
    if (engine == engines.end()) {
      ++strangers;
      return std::nullopt;
    }
    return Speaker{engine->second.endpoint, engine->second.target.model, engine->first};
  }
  void on_events(SourceId source, std::string_view topic, EventBatch batch) override {
    if (const auto known = speaker(source, topic)) {
      const std::string_view model = parse_topic(topic).model;
      const std::shared_ptr<void> watched =
          options.watch ? options.watch(known->address, batch) : std::shared_ptr<void>();
      ++in_hand;
      index.apply(known->endpoint, model.empty() ? std::string_view(known->model) : model, batch);
      --in_hand;
    }
  }
  void on_reset(SourceId source, std::string_view topic, ResetReason) override {
    if (const auto known = speaker(source, topic)) {
      index.clear(known->endpoint);
    }
  }

  void add(const KvTarget& target, EndpointHandle endpoint);
  void remove(const std::string& address);
};

void KvFollower::State::add(const KvTarget& target, EndpointHandle endpoint) {
  const std::lock_guard lock(mutex);
  Engine& engine = engines[target.address] = {.target = target, .endpoint = endpoint, .source = {}};
  if (options.port == 0) {
    return;
  }
  const auto replay =
      options.replay_port == 0 ? std::string() : tcp_endpoint(target.host, options.replay_port + target.rank);
  // Under the lock, which add() does not mind: its first batch must not come before the source is known here.
  engine.source = subscriber->add({.name = target.address,
                                   .endpoint = tcp_endpoint(target.host, options.port + target.rank),
                                   .replay_endpoint = replay});
  by_source[*engine.source] = {endpoint, target.model, target.address};
}

void KvFollower::State::remove(const std::string& address) {
  Engine engine;
  {
    const std::lock_guard lock(mutex);
    engine = engines.at(address);
    engines.erase(address);
    if (engine.source) {
      by_source.erase(*engine.source);
    }
  }
  if (engine.source) {
    subscriber->remove(*engine.source);
  }
  index.remove_endpoint(engine.endpoint);
}

KvFollower::KvFollower(KvIndex& index, Options options)
    : state_(std::make_unique<State>(index, std::move(options))) {
  state_->subscriber = std::make_unique<EventSubscriber>(state_->options.subscriber, *state_);
  if (!state_->options.central_endpoint.empty()) {
    state_->central = state_->subscriber->add(
        {.name = "central", .endpoint = state_->options.central_endpoint, .bind = true});
  }
}

KvFollower::~KvFollower() {
  state_->subscriber.reset();
}

Result<void> KvFollower::follow(std::span<const KvTarget> targets) {
  std::map<std::string_view, const KvTarget*> wanted;
  for (const KvTarget& target : targets) {
    wanted[target.address] = &target;
  }
  std::vector<std::string> gone;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& [address, engine] : state_->engines) {
      const auto still = wanted.find(address);
      if (still == wanted.end() || *still->second != engine.target) {
        gone.push_back(address);
      }
    }
  }
  for (const std::string& address : gone) {
    state_->remove(address);
  }
  Result<void> outcome;
  for (const auto& [address, target] : wanted) {
    if (endpoint(address)) {
      continue;
    }
    auto slot = state_->index.add_endpoint();
    if (slot) {
      state_->add(*target, *slot);
    } else {
      outcome = std::unexpected(std::move(slot.error()).within(fmt::format("following {}", address)));
    }
  }
  return outcome;
}

std::optional<EndpointHandle> KvFollower::endpoint(std::string_view address) const {
  const std::lock_guard lock(state_->mutex);
  const auto engine = state_->engines.find(address);
  return engine == state_->engines.end() ? std::nullopt : std::optional(engine->second.endpoint);
}

void KvFollower::heal(std::string_view address) {
  std::optional<State::Engine> engine;
  {
    const std::lock_guard lock(state_->mutex);
    if (const auto found = state_->engines.find(address); found != state_->engines.end()) {
      engine = found->second;
    }
  }
  if (engine && engine->source) {
    state_->subscriber->resync(*engine->source);
  } else if (engine) {
    state_->index.clear(engine->endpoint);
  }
}

KvFollower::Stats KvFollower::stats() const {
  Stats stats{.sources = state_->subscriber->total(),
              .subscriptions = state_->subscriber->sources(),
              .in_hand = state_->in_hand};
  const std::lock_guard lock(state_->mutex);
  stats.strangers = state_->strangers;
  return stats;
}

std::optional<SourceStats> KvFollower::stats_of(std::string_view address) const {
  std::optional<SourceId> source;
  {
    const std::lock_guard lock(state_->mutex);
    const auto engine = state_->engines.find(address);
    source = engine == state_->engines.end() ? std::nullopt : engine->second.source;
  }
  return source ? std::optional(state_->subscriber->stats(*source)) : std::nullopt;
}

std::string KvFollower::central_endpoint() const {
  return state_->central ? state_->subscriber->stats(*state_->central).bound_endpoint : std::string();
}

SourceStats KvFollower::central_stats() const {
  return state_->central ? state_->subscriber->stats(*state_->central) : SourceStats();
}

}  // namespace llmd::kvcache
