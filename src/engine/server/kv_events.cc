#include "engine/server/kv_events.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "json/codec.h"

namespace llmd::engine {
namespace {

constexpr int kDefaultPort = 5557;

// The wire's names.
struct KvEventsConfig {
  bool enable_kv_cache_events = false;
  std::optional<std::string> publisher;
  std::optional<std::string> endpoint;
  std::optional<std::string> replay_endpoint;
  std::optional<std::string> topic;
  int buffer_steps = 10'000;
  int hwm = 100'000;
  int max_queue_size = 100'000;
};
BOOST_DESCRIBE_STRUCT(KvEventsConfig, (),
                      (enable_kv_cache_events, publisher, endpoint, replay_endpoint, topic, buffer_steps, hwm,
                       max_queue_size))

void validate(const KvEventsConfig& config, json::Report& report) {
  if (config.publisher && *config.publisher != "zmq" && *config.publisher != "null") {
    report.add("publisher", "expected zmq or null, got '{}'", *config.publisher);
  }
  const auto at_least = [&report](const char* name, int value, int least) {
    if (value < least) {
      report.add(name, "must be at least {}, got {}", least, value);
    }
  };
  at_least("buffer_steps", config.buffer_steps, 0);
  at_least("hwm", config.hwm, 1);
  at_least("max_queue_size", config.max_queue_size, 1);
}

// An event's name of a block. 0 is taken: it means no block.
kvcache::EngineHash name_of(const BlockHash& hash) {
  return hash.low != 0 ? hash.low : hash.high;
}

// What beside its tokens decides which block this is, in vLLM's order.
std::vector<std::string> extra_keys(const StoredBlocks& blocks, bool first_of_prompt) {
  std::vector<std::string> keys;
  if (!blocks.adapter.empty()) {
    keys.emplace_back(blocks.adapter);
  }
  if (first_of_prompt && !blocks.salt.empty()) {
    keys.emplace_back(blocks.salt);
  }
  return keys;
}

// Makes '*' the address the server listens on, if that is one. True when something changed.
bool confine(std::string& endpoint, const KvEvents::Place& place) {
  constexpr std::string_view kEverywhere = "tcp://*:";
  if (!endpoint.starts_with(kEverywhere) || place.host == "0.0.0.0" || place.host == "::") {
    return false;
  }
  const std::string host = place.host == "localhost" ? "127.0.0.1" : place.host;  // ZeroMQ binds no names
  const std::string bracketed = host.contains(':') ? "[" + host + "]" : host;
  endpoint = fmt::format("tcp://{}:{}", bracketed, endpoint.substr(kEverywhere.size()));
  return true;
}

kvcache::EventPublisher::Options publisher_options(const KvEventFlags& flags, const KvEvents::Place& place) {
  using Role = kvcache::EventPublisher::Role;
  kvcache::EventPublisher::Options options{
      .endpoint = flags.endpoint,
      .replay_endpoint = flags.replay_endpoint,
      .role = flags.connect ? Role::Connect : Role::ByEndpoint,
      .topic = flags.topic,
      .encoding = flags.as_maps ? kvcache::EventEncoding::Map : kvcache::EventEncoding::Array,
      .buffer_steps = flags.buffer_steps,
      .high_water_mark = flags.high_water_mark,
      .max_queued = flags.max_queued};
  if (options.endpoint.empty()) {
    options.endpoint = fmt::format("tcp://*:{}", kDefaultPort);
    options.role = Role::Bind;
    confine(options.endpoint, place);
  } else if (options.role != Role::Connect && place.host_was_asked_for && confine(options.endpoint, place)) {
    options.role = Role::Bind;
  }
  if (place.host_was_asked_for) {
    confine(options.replay_endpoint, place);
  }
  if (options.topic.empty()) {
    options.topic = kvcache::make_topic(place.pod, place.model);
  }
  return options;
}

void add_metrics(metrics::Registry& registry, std::weak_ptr<const kvcache::EventPublisher> publisher,
                 const std::string& model) {
  const metrics::Label label[] = {{"engine", "0"}, {"model_name", model}};
  registry.on_write(
      [publisher = std::move(publisher), labels = metrics::label_text(label)](metrics::TextWriter& writer) {
        const auto alive = publisher.lock();
        if (alive == nullptr) {
          return;
        }
        const kvcache::EventPublisher::Stats stats = alive->stats();
        const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
          writer.family(name, help, metrics::Type::Counter);
          writer.sample(name, labels, static_cast<double>(value));
        };
        counter("llmd_engine_kv_event_batches_total", "Batches of KV events published.", stats.published);
        counter("llmd_engine_kv_event_batches_dropped_total",
                "Batches of KV events that did not fit into the publisher's queue.", stats.dropped);
        counter("llmd_engine_kv_event_replays_total", "Replays of KV events that subscribers asked for.",
                stats.replays);
      });
}

}  // namespace

Result<void> read_kv_events_config(KvEventFlags& into, std::string_view text) {
  LLMD_TRY(const json::Value value, json::parse(text));
  LLMD_TRY(KvEventsConfig config, json::decode<KvEventsConfig>(value));
  into.enabled = config.enable_kv_cache_events && config.publisher != "null";
  into.endpoint = std::move(config.endpoint).value_or("");
  into.replay_endpoint = std::move(config.replay_endpoint).value_or("");
  into.topic = std::move(config.topic).value_or("");
  into.buffer_steps = static_cast<std::size_t>(config.buffer_steps);
  into.high_water_mark = config.hwm;
  into.max_queued = static_cast<std::size_t>(config.max_queue_size);
  return {};
}

Result<std::unique_ptr<KvEvents>> KvEvents::open(const KvEventFlags& flags, const Place& place,
                                                 metrics::Registry& registry) {
  const kvcache::EventPublisher::Options options = publisher_options(flags, place);
  LLMD_TRY(std::shared_ptr<kvcache::EventPublisher> publisher, kvcache::EventPublisher::open(options));
  add_metrics(registry, publisher, place.model);
  log::info("publishing KV events", {{"endpoint", publisher->endpoint()},
                                     {"replay", publisher->replay_endpoint()},
                                     {"topic", options.topic}});
  return std::unique_ptr<KvEvents>(new KvEvents(std::move(publisher)));
}

void KvEvents::on_stored(const StoredBlocks& blocks) {
  kvcache::BlockStored event{
      .parent = blocks.parent == nullptr ? 0 : name_of(*blocks.parent),
      .tokens = {blocks.tokens.begin(), blocks.tokens.end()},
      .block_size = static_cast<std::uint32_t>(blocks.tokens.size() / blocks.hashes.size()),
      .medium = "GPU",  // where computing happens, as everybody calls it
      .lora_name = std::string(blocks.adapter)};
  std::ranges::transform(blocks.hashes, std::back_inserter(event.hashes), name_of);
  if (!blocks.adapter.empty() || !blocks.salt.empty()) {
    for (std::size_t i = 0; i < blocks.hashes.size(); ++i) {
      event.extra_keys.push_back(extra_keys(blocks, i == 0 && blocks.parent == nullptr));
    }
  }
  step_.events.emplace_back(std::move(event));
}

void KvEvents::on_removed(const BlockHash& block) {
  // Neighbours in time share an event: a large prompt pushes many blocks out.
  auto* const last =
      step_.events.empty() ? nullptr : std::get_if<kvcache::BlockRemoved>(&step_.events.back());
  if (last != nullptr) {
    last->hashes.push_back(name_of(block));
    return;
  }
  step_.events.emplace_back(kvcache::BlockRemoved{.hashes = {name_of(block)}, .medium = "GPU", .group = {}});
}

void KvEvents::on_cleared() {
  step_.events.emplace_back(kvcache::AllBlocksCleared{});
}

void KvEvents::on_step_end() {
  if (step_.events.empty()) {
    return;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  step_.timestamp = std::chrono::duration<double>(now).count();
  step_.rank = 0;
  publisher_->publish(std::exchange(step_, {}));
}

}  // namespace llmd::engine
