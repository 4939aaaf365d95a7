// KV events as a router sees them: `llmd serve` publishes, the follower of kvcache listens, and the index
// says of every prompt how much of it the server has cached.

#include "engine/server/kv_events.h"

#include <stdlib.h>

#include "base/strings.h"
#include "engine/server/served_for_test.h"
#include "kvcache/eventually_test.h"
#include "kvcache/kv_follower.h"
#include "kvcache/prompt_extras.h"

namespace llmd::engine {
namespace {

using kvcache::comes_to;

constexpr std::size_t kBlockSize = 16;

std::vector<std::string> with_events(std::vector<std::string> arguments, std::string endpoint,
                                     std::string replay_endpoint) {
  arguments.insert(
      arguments.end(),
      {"--served-model-name", "m", "--kv-events-config",
       fmt::format(
           R"({{"enable_kv_cache_events":true,"publisher":"zmq","endpoint":"{}","replay_endpoint":"{}"}})",
           endpoint, replay_endpoint)});
  return arguments;
}

std::vector<std::string> with_events(std::vector<std::string> arguments) {
  return with_events(std::move(arguments), "tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
}

const std::vector<std::string> kSimulated = {"nothing", "--simulate"};

std::uint16_t port_of(std::string_view endpoint) {
  return static_cast<std::uint16_t>(parse_integer(endpoint.substr(endpoint.rfind(':') + 1)).value());
}

std::string story(char of) {
  return std::string(150, of) + " and so on";
}

void complete(Served& server, const std::string& prompt, std::string more = "") {
  server.post_json("/v1/completions",
                   fmt::format(R"({{"model":"m","prompt":"{}","max_tokens":4{}}})", prompt, more));
}

std::vector<kvcache::TokenId> tokens_of(Served& server, const std::string& prompt) {
  const json::Value answer =
      server.post_json("/tokenize", fmt::format(R"({{"model":"m","prompt":"{}"}})", prompt));
  std::vector<kvcache::TokenId> tokens;
  for (const json::Value& token : answer.at("tokens").as_array()) {
    tokens.push_back(token.to_number<kvcache::TokenId>());
  }
  return tokens;
}

// A router that follows one server.
class Router {
 public:
  explicit Router(Served& server)
      : Router({.port = port_of(server.service().kv_events()->endpoint()),
                .replay_port = port_of(server.service().kv_events()->replay_endpoint()),
                .subscriber = kvcache::quick()},
               server) {}
  Router(kvcache::KvFollower::Options options, Served& server) : follower_(index_, std::move(options)) {
    follow(server);
  }

  void follow(Served& server) {
    address_ = server.address().to_string();
    const kvcache::KvTarget target{.address = address_, .host = "127.0.0.1"};
    ASSERT_TRUE(follower_.follow({&target, 1}));
  }
  // How many blocks from its beginning on the server has cached.
  std::size_t cached(std::span<const kvcache::TokenId> tokens, std::string_view salt = "") {
    const kvcache::RequestKeys keys = index_.keys("m");
    std::vector<kvcache::BlockHash> chain(tokens.size() / kBlockSize);
    const kvcache::PromptExtras extras({}, salt, kBlockSize, chain.size());
    chain.resize(keys.chain(keys.init(), tokens, kBlockSize, extras.blocks(), chain));
    std::vector<kvcache::TierMatch> matches(index_.slots());
    index_.match(chain, matches);
    const auto endpoint = follower_.endpoint(address_);
    return endpoint ? matches[endpoint->slot].blocks : 0;
  }
  const kvcache::KvFollower& follower() const { return follower_; }

 private:
  kvcache::KvIndex index_{{.block_size = kBlockSize}};
  kvcache::KvFollower follower_;
  std::string address_;
};

class KvEventsOf : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(KvEventsOf, ARouterKnowsWhichPromptsTheServerHasCached) {
  Served server(with_events(GetParam()));
  Router router(server);
  const auto told = tokens_of(server, story('a'));
  const auto other = tokens_of(server, story('b'));
  ASSERT_GE(told.size(), kBlockSize);
  complete(server, story('a'));
  EXPECT_TRUE(comes_to([&] { return router.cached(told) == told.size() / kBlockSize; }));
  EXPECT_EQ(router.cached(other), 0U);
}

TEST_P(KvEventsOf, ARouterThatComesLateIsToldEverything) {
  Served server(with_events(GetParam()));
  complete(server, story('a'));
  complete(server, story('b'));
  Router router(server);
  for (const char of : {'a', 'b'}) {
    const auto tokens = tokens_of(server, story(of));
    EXPECT_TRUE(comes_to([&] { return router.cached(tokens) == tokens.size() / kBlockSize; }));
  }
}

TEST_P(KvEventsOf, APromptWithASaltIsNobodyElses) {
  Served server(with_events(GetParam()));
  Router router(server);
  const auto tokens = tokens_of(server, story('a'));
  complete(server, story('a'), R"(,"cache_salt":"mine")");
  EXPECT_TRUE(comes_to([&] { return router.cached(tokens, "mine") == tokens.size() / kBlockSize; }));
  EXPECT_EQ(router.cached(tokens), 0U);
}

INSTANTIATE_TEST_SUITE_P(Engines, KvEventsOf,
                         testing::Values(kSimulated, std::vector<std::string>{tiny_model()}),
                         [](const auto& info) { return info.index == 0 ? "Simulated" : "Real"; });

TEST(KvEventsOfASmallCache, WhatIsPushedOutIsForgotten) {
  std::vector<std::string> arguments = kSimulated;
  arguments.insert(arguments.end(), {"--kv-cache-size", "4", "--max-model-len", "64"});
  Served server(with_events(arguments));
  Router router(server);
  const auto first = tokens_of(server, story('a'));
  const auto second = tokens_of(server, story('b'));
  ASSERT_EQ(first.size() / kBlockSize, 2U);
  complete(server, story('a'));
  ASSERT_TRUE(comes_to([&] { return router.cached(first) == 2; }));
  complete(server, story('b'));
  complete(server, story('c'));
  EXPECT_TRUE(comes_to([&] { return router.cached(first) == 0; }));
  complete(server, story('b'));
  EXPECT_TRUE(comes_to([&] { return router.cached(second) == 2; }));
}

TEST(KvEventsOverRestarts, ARestartedServerHasNothingCached) {
  auto server = std::make_unique<Served>(with_events(kSimulated));
  Router router(*server);
  const auto tokens = tokens_of(*server, story('a'));
  complete(*server, story('a'));
  ASSERT_TRUE(comes_to([&] { return router.cached(tokens) == tokens.size() / kBlockSize; }));
  const std::string port = std::to_string(port_of(server->service().kv_events()->endpoint()));
  const std::string replay = std::to_string(port_of(server->service().kv_events()->replay_endpoint()));
  server.reset();
  server = std::make_unique<Served>(with_events(kSimulated, "tcp://*:" + port, "tcp://127.0.0.1:" + replay));
  EXPECT_TRUE(comes_to([&] { return router.cached(tokens) == 0; })) << "before it says anything";
  complete(*server, story('b'));
  const auto others = tokens_of(*server, story('b'));
  EXPECT_EQ(router.cached(tokens), 0U);
}

TEST(KvEventsOverResets, AClearedCacheIsKnownToBeEmpty) {
  setenv("VLLM_SERVER_DEV_MODE", "1", 1);
  Served server(with_events(kSimulated));
  unsetenv("VLLM_SERVER_DEV_MODE");
  Router router(server);
  const auto tokens = tokens_of(server, story('a'));
  complete(server, story('a'));
  ASSERT_TRUE(comes_to([&] { return router.cached(tokens) > 0; }));
  EXPECT_EQ(server.post("/reset_prefix_cache", "").status, 200);
  EXPECT_TRUE(comes_to([&] { return router.cached(tokens) == 0; }));
}

TEST(KvEventsToOneRouter, AServerThatConnectsSaysWhoItIs) {
  kvcache::KvIndex index({.block_size = kBlockSize});
  const kvcache::KvFollower meeting_point(
      index, {.port = 0, .central_endpoint = std::string(kvcache::kAnyPort), .subscriber = kvcache::quick()});
  ASSERT_TRUE(comes_to([&] { return !meeting_point.central_endpoint().empty(); }));
  std::vector<std::string> arguments = kSimulated;
  arguments.insert(arguments.end(), {"--served-model-name", "m", "--zmq-endpoint",
                                     meeting_point.central_endpoint(), "--use-vllm-map-event-format"});
  Served server(arguments);
  // Nobody listens in the first moments of a connection; strangers are counted until the list is known.
  int prompts = 0;
  EXPECT_TRUE(comes_to([&] {
    complete(server, story(static_cast<char>('a' + prompts++ % 26)),
             fmt::format(R"(,"cache_salt":"{}")", prompts));
    return meeting_point.stats().strangers > 0;
  }));
}

TEST(KvEventsWithoutListeners, CostNothingAndAreCounted) {
  Served server(with_events(kSimulated));
  EXPECT_EQ(server.metric("llmd_engine_kv_event_batches_total"), 0);
  complete(server, story('a'));
  EXPECT_TRUE(comes_to([&] { return server.metric("llmd_engine_kv_event_batches_total") >= 1; }));
  EXPECT_EQ(server.metric("llmd_engine_kv_event_batches_dropped_total"), 0);
}

TEST(KvEventsConfig, IsCheckedWithTheNamesOfItsFields) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"enable_kv_cache_events":"yes"})", "enable_kv_cache_events"},
      {R"({"enable_kv_cache_event":true})", "enable_kv_cache_event"},
      {R"({"publisher":"nats"})", "publisher"},
      {R"({"buffer_steps":-1})", "buffer_steps"},
      {R"({"hwm":0})", "hwm"},
      {"{", ""},
  };
  for (const auto& [text, named] : cases) {
    KvEventFlags flags;
    const Result<void> read = read_kv_events_config(flags, text);
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().text().contains(named)) << read.error().text();
  }
}

TEST(KvEventsConfig, DoesNothingUnlessItSaysSo) {
  for (const std::string_view text :
       {R"({})", R"({"endpoint":"tcp://*:5557"})", R"({"enable_kv_cache_events":true,"publisher":"null"})"}) {
    KvEventFlags flags;
    ASSERT_TRUE(read_kv_events_config(flags, text)) << text;
    EXPECT_FALSE(flags.enabled) << text;
  }
}

TEST(KvEventsConfig, ATakenAddressKeepsTheServerFromStarting) {
  Served server(with_events(kSimulated));
  metrics::Registry registry;
  const auto second = KvEvents::open(
      {.enabled = true,
       .endpoint = "tcp://*:" + std::to_string(port_of(server.service().kv_events()->endpoint()))},
      {.host = "127.0.0.1", .pod = "127.0.0.1:1", .model = "m"}, registry);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace llmd::engine
