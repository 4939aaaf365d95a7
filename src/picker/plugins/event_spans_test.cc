// Spans of what engines tell of their caches: traces of their own.
#include <gtest/gtest.h>

#include <mutex>

#include "json/path.h"
#include "kvcache/event_publisher.h"
#include "kvcache/eventually_test.h"
#include "picker/picker.h"
#include "trace/testing_spans.h"

namespace llmd::picker {
namespace {

// Engines are listened to by a thread of their own.
struct SharedSpans final : trace::SpanSink {
  void take(trace::FinishedSpan span) override {
    const std::lock_guard lock(mutex);
    collected.take(std::move(span));
  }
  std::optional<trace::FinishedSpan> find(std::string_view name) const {
    const std::lock_guard lock(mutex);
    const auto found = std::ranges::find(collected.spans, name, &trace::FinishedSpan::name);
    return found == collected.spans.end() ? std::nullopt : std::optional(*found);
  }
  mutable std::mutex mutex;
  trace::CollectedSpans collected;
};

// An engine and a picker that follows it.
struct Followed {
  explicit Followed(const trace::Tracer* tracer) {
    const std::string_view bound = engine->endpoint();
    const std::string config = fmt::format(
        "plugins:\n- {{type: precise-prefix-cache-producer, parameters: {{tokenProcessorConfig: "
        "{{blockSizeTokens: 4}}, kvEventsConfig: {{podDiscoveryConfig: {{socketPort: {}}}}}}}}}\n",
        bound.substr(bound.rfind(':') + 1));
    picker = Picker::from_config(config, "test.yaml", {.tracer = tracer}).value();
    picker->update({{.address = {"127.0.0.1", 8000}, .name = "e"}});
  }
  void tell(kvcache::KvEvent event) { engine->publish({.timestamp = 1, .events = {std::move(event)}}); }
  std::int64_t blocks() const {
    return json::int_at(picker->debug_state(), "plugins[precise-prefix-cache-producer].state.blocks")
        .value_or(-1);
  }

  std::unique_ptr<kvcache::EventPublisher> engine =
      kvcache::EventPublisher::open({.endpoint = std::string(kvcache::kAnyPort),
                                     .role = kvcache::EventPublisher::Role::Bind,
                                     .topic = "kv@127.0.0.1:8000@m"})
          .value();
  std::unique_ptr<Picker> picker;
};

const std::vector<std::uint32_t> kTokens{1, 2, 3, 4, 5, 6, 7, 8};
const kvcache::BlockStored kStored{.hashes = {1, 2}, .tokens = kTokens, .block_size = 4};

TEST(EventSpans, EachMessageOfAnEngineIsATraceOfItsOwn) {
  SharedSpans spans;
  const trace::Tracer tracer({.ratio = 1}, spans);
  Followed followed(&tracer);
  ASSERT_TRUE(kvcache::comes_to([&] {  // nobody is told when a subscription stands
    followed.tell(kStored);
    return spans.find("index_add").has_value();
  }));
  const auto added = *spans.find("index_add");
  EXPECT_EQ(added.parent, 0);
  EXPECT_EQ(number_of(added, "llm_d.kv_cache.blocks"), 2);
  EXPECT_EQ(text_of(added, "llm_d.kv_cache.endpoint"), "127.0.0.1:8000");
  EXPECT_FALSE(spans.find("index_evict"));
  followed.tell(kvcache::BlockRemoved{.hashes = {2}});
  ASSERT_TRUE(kvcache::comes_to([&] { return spans.find("index_evict").has_value(); }));
  const auto evicted = *spans.find("index_evict");
  EXPECT_NE(evicted.context.trace, added.context.trace);
  EXPECT_EQ(number_of(evicted, "llm_d.kv_cache.blocks"), 1);
  EXPECT_FALSE(trace::attribute_of<bool>(evicted, "llm_d.kv_cache.cleared"));
}

TEST(EventSpans, ACacheThatIsClearedIsAnEviction) {
  SharedSpans spans;
  const trace::Tracer tracer({.ratio = 1}, spans);
  Followed followed(&tracer);
  ASSERT_TRUE(kvcache::comes_to([&] {
    followed.tell(kvcache::AllBlocksCleared{});
    return spans.find("index_evict").has_value();
  }));
  EXPECT_TRUE(trace::attribute_of<bool>(*spans.find("index_evict"), "llm_d.kv_cache.cleared"));
}

TEST(EventSpans, AreNotMadeWhereNobodyWantsThem) {
  SharedSpans spans;
  const trace::Tracer never({.ratio = 0}, spans);
  for (const trace::Tracer* tracer : {&never, static_cast<const trace::Tracer*>(nullptr)}) {
    Followed followed(tracer);
    ASSERT_TRUE(kvcache::comes_to([&] {
      followed.tell(kStored);
      return followed.blocks() == 2;
    }));
  }
  EXPECT_TRUE(spans.collected.spans.empty());
}

}  // namespace
}  // namespace llmd::picker
