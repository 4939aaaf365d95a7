#include "picker/plugins/burst_prefix_producer.h"

#include <algorithm>
#include <mutex>

#include "picker/plugins/burst_assignment.h"

namespace llmd::picker {
namespace {

struct BurstOptions {
  Duration window = std::chrono::milliseconds(100);
  std::size_t block_tokens = 64;
  std::size_t most_blocks = 2048;
  std::int64_t batch = 1000;
  BurstRules rules;
};

class BurstPrefixProducer final : public Producer, public Holder, public Inspectable {
 public:
  BurstPrefixProducer(BurstOptions options, PrefixColumns columns)
      : options_(std::move(options)), columns_(columns) {}

  Task<std::string> hold(const Request& request, const Candidates& candidates,
                         async::Deadline deadline) const override {
    auto prompt = prompt_of(request);
    if (prompt.empty()) {
      co_return std::string();
    }
    const Seat seat(*this, std::move(prompt), candidates, deadline);
    if (!seat.window) {
      co_return std::string();
    }
    co_await async::sleep_until(seat.window->closes);
    const std::lock_guard lock(mutex_);
    close(*seat.window);
    co_return seat.place->assigned;
  }

  void produce(Cycle& cycle) const override {
    const Request& request = cycle.request();
    if (request.agreed_endpoint.empty()) {
      return;
    }
    const auto blocks = static_cast<float>(blocks_of(request));
    cycle.set_scalar(columns_.total, blocks);
    cycle.set_scalar(columns_.block_tokens, static_cast<float>(options_.block_tokens));
    const auto matched = cycle.fill(columns_.matched);
    const auto cached = cycle.fill(columns_.cached);
    for (const Row row : cycle.candidates()) {
      const bool agreed = cycle.endpoint(row).full_name == request.agreed_endpoint;
      matched[row] = cached[row] = agreed ? blocks : 0;
    }
  }

  json::Value state() const override {
    const std::lock_guard lock(mutex_);
    return json::Value{{"held", open_ ? open_->places.size() : 0}};
  }

 private:
  // One held request.
  struct Place {
    std::vector<kvcache::BlockHash> prompt;
    std::string assigned;
  };
  struct Window {
    TimePoint closes;
    std::vector<EndpointPtr> endpoints;
    std::vector<Place*> places;  // in the order of arrival; their owners wait
    bool closed = false;
  };

  // A request's place in the window, until its task ends, however that comes.
  struct Seat {
    Seat(const BurstPrefixProducer& owner_, std::vector<kvcache::BlockHash> prompt,
         const Candidates& candidates, async::Deadline deadline)
        : owner(owner_), place(std::make_unique<Place>(Place{std::move(prompt), {}})) {
      const std::lock_guard lock(owner.mutex_);
      window = owner.join(*place, candidates, deadline);
    }
    ~Seat() {
      const std::lock_guard lock(owner.mutex_);
      if (window && !window->closed) {
        std::erase(window->places, place.get());
      }
    }
    Seat(const Seat&) = delete;
    const BurstPrefixProducer& owner;
    const std::unique_ptr<Place> place;
    std::shared_ptr<Window> window;  // null: the request does not wait
  };

  std::size_t blocks_of(const Request& request) const {
    const bool counted = !request.tokens.empty();
    const std::size_t size = counted ? request.tokens.size() : request.prompt_units.size();
    const std::size_t block = counted ? options_.block_tokens : options_.block_tokens / kUnitTokens;
    return std::min((size + block - 1) / block, options_.most_blocks);
  }

  std::vector<kvcache::BlockHash> prompt_of(const Request& request) const {
    std::vector<kvcache::BlockHash> chain(blocks_of(request));
    const auto seed = kvcache::approximate_seed(request.target(), request.cache_salt);
    chain.resize(request.tokens.empty()
                     ? kvcache::approximate_chain(seed, request.prompt_units,
                                                  options_.block_tokens / kUnitTokens, chain)
                     : kvcache::approximate_token_chain(seed, request.tokens, options_.block_tokens, chain));
    return chain;
  }

  // Under the lock, as everything below.
  std::shared_ptr<Window> join(Place& place, const Candidates& candidates, async::Deadline deadline) const {
    const TimePoint now = std::chrono::steady_clock::now();
    // An empty window is one whose requests have all left.
    if (!open_ || open_->closed || open_->places.empty()) {
      auto endpoints = candidates();
      if (endpoints.empty()) {
        return nullptr;
      }
      open_ = std::make_shared<Window>();
      open_->closes = now + options_.window;
      open_->endpoints = std::move(endpoints);
    }
    const bool full = options_.batch >= 0 && std::ssize(open_->places) >= options_.batch;
    if (full || deadline.time() < open_->closes) {
      return nullptr;
    }
    open_->places.push_back(&place);
    return open_;
  }

  // Whoever wakes up first assigns for all.
  void close(Window& window) const {
    if (std::exchange(window.closed, true)) {
      return;
    }
    std::vector<std::vector<kvcache::BlockHash>> prompts;
    for (Place* place : window.places) {
      prompts.push_back(std::move(place->prompt));
    }
    std::vector<BurstEndpoint> endpoints;
    for (const EndpointPtr& endpoint : window.endpoints) {
      endpoints.push_back({endpoint->full_name, endpoint->numbers().running});
    }
    const auto assigned = assign_burst(prompts, endpoints, options_.rules);
    for (std::size_t i = 0; i < assigned.size(); ++i) {
      if (assigned[i]) {
        window.places[i]->assigned = window.endpoints[*assigned[i]]->full_name;
      }
    }
    window.places.clear();
  }

  const BurstOptions options_;
  const PrefixColumns columns_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<Window> open_;
};

BurstOptions read_options(Parameters& parameters) {
  BurstOptions options;
  std::int64_t window = 100;
  std::int64_t block = 64;
  std::int64_t most_tokens = 0;
  std::int64_t least = 0;
  int balance = 0;
  parameters.read("windowDurationMs", window);
  parameters.read("maxPerReplica", options.rules.most_per_endpoint);
  parameters.read("blockSizeTokens", block);
  parameters.read("maxPrefixTokensToMatch", most_tokens);
  parameters.read("minColocateBlocks", least);
  parameters.read("maxBatchSize", options.batch);
  parameters.read_choice("balanceBy", balance, {"requests", "tokens"});
  if (window < 1 || window > 10000) {
    parameters.reject("windowDurationMs", "must be between 1 and 10000");
  }
  if (options.rules.most_per_endpoint == 0 || options.rules.most_per_endpoint < -1) {
    parameters.reject("maxPerReplica", "must be -1 or at least 1");
  }
  if (options.batch == 0 || options.batch < -1) {
    parameters.reject("maxBatchSize", "must be -1 or at least 1");
  }
  if (block < static_cast<std::int64_t>(kUnitTokens)) {
    parameters.reject("blockSizeTokens", "must be at least 16");
    block = 64;
  }
  if (most_tokens != 0 && most_tokens < block) {
    parameters.reject("maxPrefixTokensToMatch", "must be 0 or at least a block");
  }
  if (least < 0) {
    parameters.reject("minColocateBlocks", "must not be negative");
  }
  options.window = std::chrono::milliseconds(window);
  options.block_tokens = static_cast<std::size_t>(block);
  if (most_tokens > 0) {
    options.most_blocks = static_cast<std::size_t>(most_tokens / block);
  }
  options.rules.least_shared = static_cast<std::size_t>(std::max<std::int64_t>(least, 0));
  options.rules.by_blocks = balance == 1;
  return options;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_burst_prefix_producer(PluginSetup& setup) {
  BurstOptions options = read_options(setup.parameters);
  setup.provide("prefix");
  return std::make_unique<BurstPrefixProducer>(std::move(options), setup.prefix_columns(setup.plugin_name));
}

}  // namespace llmd::picker
