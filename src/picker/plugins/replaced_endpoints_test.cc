// A pod that another one replaces at its address or under its name: what is known of its caches goes with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvcache/event_publisher.h"
#include "kvcache/eventually_test.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

using kvcache::comes_to;

struct Replacement {
  const char* name;
  const char* uid;
  bool same;
};
constexpr Replacement kReplacements[] = {{"e0", "u1", true}, {"e0", "u2", false}, {"e1", "u1", false}};

Endpoint described(const Replacement& as, const char* label) {
  return {.address = {"127.0.0.1", 8000}, .name = as.name, .labels = {{"l", label}}, .uid = as.uid};
}

std::string_view port_of(std::string_view endpoint) {
  return endpoint.substr(endpoint.rfind(':') + 1);
}

TEST(ReplacedEndpoints, BlocksThatTheOldEngineToldOfAreForgotten) {
  for (const Replacement& replacement : kReplacements) {
    // Says all it ever said to whoever asks.
    auto engine = kvcache::EventPublisher::open({.endpoint = std::string(kvcache::kAnyPort),
                                                 .replay_endpoint = std::string(kvcache::kAnyPort),
                                                 .role = kvcache::EventPublisher::Role::Bind,
                                                 .topic = "kv@127.0.0.1:8000@m"})
                      .value();
    engine->publish(
        {.timestamp = 1,
         .events = {kvcache::BlockStored{.hashes = {1}, .tokens = {1, 2, 3, 4}, .block_size = 4}}});
    Pool pool(fmt::format("plugins:\n- {{type: precise-prefix-cache-producer, parameters: {{"
                          "tokenProcessorConfig: {{blockSizeTokens: 4}}, kvEventsConfig: {{"
                          "podDiscoveryConfig: {{socketPort: {}, replaySocketPort: {}}}}}}}}}\n",
                          port_of(engine->endpoint()), port_of(engine->replay_endpoint())),
              0);
    const auto blocks = [&pool] {
      return json::int_at(pool.picker->debug_state(), "plugins[precise-prefix-cache-producer].state.blocks")
          .value_or(-1);
    };
    pool.set({described(kReplacements[0], "before")});
    ASSERT_TRUE(comes_to([&] { return blocks() == 1; }));
    engine.reset();
    pool.set({described(replacement, "after")});
    EXPECT_EQ(blocks(), replacement.same ? 1 : 0) << replacement.name << " " << replacement.uid;
  }
}

TEST(ReplacedEndpoints, PicturesThatTheOldEngineEncodedAreForgotten) {
  const std::vector<openai::MediaItem> items{{.hash = 1, .tokens = 10}};
  const Request request{.multimodal = true, .media = items};
  for (const Replacement& replacement : kReplacements) {
    Pool pool("plugins: [{type: mm-embeddings-cache-producer}, {type: mm-embeddings-cache-scorer}]\n", 0);
    pool.set({described(kReplacements[0], "before")});
    ASSERT_TRUE(pool.picker->pick(request));
    EXPECT_THAT(pool.scores("mm-embeddings-cache-scorer", request), are({1}));
    pool.set({described(replacement, "after")});
    EXPECT_THAT(pool.scores("mm-embeddings-cache-scorer", request), are({replacement.same ? 1.0 : 0.0}))
        << replacement.name << " " << replacement.uid;
  }
}

}  // namespace
}  // namespace llmd::picker
