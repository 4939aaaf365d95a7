// What a precise prefix index counts, with an engine that publishes and requests that ask.
#include <gtest/gtest.h>

#include <thread>

#include "kvcache/event_publisher.h"
#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/picker.h"

namespace llmd::picker {
namespace {

using kvcache::BlockRemoved;
using kvcache::BlockStored;

struct Engine {
  Engine() {
    publisher = kvcache::EventPublisher::open(
                    {.endpoint = "tcp://127.0.0.1:*", .topic = kvcache::make_topic("10.0.0.1", "m")})
                    .value();
    const std::string& bound = publisher->endpoint();
    const std::string port = bound.substr(bound.rfind(':') + 1);
    picker = Picker::from_config(
                 "plugins:\n- type: precise-prefix-cache-producer\n  parameters:\n"
                 "    tokenProcessorConfig: {blockSizeTokens: 4}\n"
                 "    indexerConfig: {kvBlockIndexConfig: {enableMetrics: true}}\n"
                 "    kvEventsConfig: {podDiscoveryConfig: {socketPort: " +
                     port +
                     "}}\n"
                     "- {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: "
                     "precise-prefix-cache-producer}}\n",
                 "kv.yaml", {.metrics = &registry})
                 .value();
    picker->update({{.address = {"127.0.0.1", 8000}, .name = "e0"}});
  }
  double value(std::string_view name, metrics::Exposition::Labels labels = {}) {
    return metrics::parse_exposition(registry.write_text())->value(name, labels).value_or(-1);
  }
  // Publishes until the subscription, which nobody is told about, stands and the batch has been applied.
  void publish_until(const std::function<bool()>& seen) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!seen() && std::chrono::steady_clock::now() < deadline) {
      BlockStored window{.hashes = {7}, .tokens = {1, 2, 3, 4}, .block_size = 4};
      window.group = 1;
      window.spec_kind = "sliding_window";
      publisher->publish(
          {.timestamp = 1,
           .events = {BlockStored{.hashes = {1, 2}, .tokens = {1, 2, 3, 4, 5, 6, 7, 8}, .block_size = 4},
                      window, BlockRemoved{.hashes = {7}, .group = 1}}});
      std::this_thread::yield();
    }
  }
  metrics::Registry registry;
  std::unique_ptr<kvcache::EventPublisher> publisher;
  std::unique_ptr<Picker> picker;
};

TEST(KvCacheMetricsTest, EventsAndLookupsMoveTheirSeries) {
  Engine engine;
  engine.publish_until([&] { return engine.value("llm_d_epp_kv_cache_index_admissions_total") >= 4; });
  const metrics::Exposition::Labels pod{{"pod_identifier", "default/e0"}};
  const metrics::Exposition::Labels window{{"cache_kind", "sliding_window"},
                                           {"reason", "unsupported_cache_kind"}};
  EXPECT_GE(engine.value("llm_d_epp_kv_cache_events_messages_received_total", pod), 2);
  EXPECT_GE(engine.value("llm_d_epp_kv_cache_events_stores_skipped_total", window), 1);
  EXPECT_GE(engine.value("llm_d_epp_kv_cache_events_removals_skipped_total", window), 1);
  EXPECT_EQ(engine.value("llm_d_epp_kv_cache_events_zmq_errors_total",
                         {{"pod_identifier", "default/e0"}, {"operation", "recv"}}),
            0);
  EXPECT_EQ(engine.value("llm_d_epp_kv_cache_events_active_subscribers"), 1);
  EXPECT_EQ(engine.value("llm_d_epp_kv_cache_events_pool_capacity"), 1);
  const std::vector<std::uint32_t> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_TRUE(engine.picker->pick({.model = "m", .tokens = tokens}));
  EXPECT_EQ(engine.value("llm_d_epp_kv_cache_index_lookup_requests_total"), 1);
  EXPECT_EQ(engine.value("kvcache_index_lookup_hits_total"), 2);
  // Stored at least twice, so the first removal leaves the block where it is.
  engine.publisher->publish({.timestamp = 2, .events = {BlockRemoved{.hashes = {1}}}});
  engine.publish_until(
      [&] { return engine.value("llm_d_epp_kv_cache_events_dedup_removed_hashes_suppressed_total") >= 1; });
  EXPECT_EQ(engine.value("kvcache_kvevents_dedup_removed_hashes_forwarded_total"), 0);
}

}  // namespace
}  // namespace llmd::picker
