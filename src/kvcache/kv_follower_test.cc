#include "kvcache/kv_follower.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "base/strings.h"
#include "kvcache/event_frames.h"
#include "kvcache/event_publisher.h"
#include "kvcache/eventually_test.h"
#include "kvcache/zmq_socket.h"

namespace llmd::kvcache {
namespace {

// An engine's cache as seen from outside: what it publishes.
struct Engine {
  std::unique_ptr<EventPublisher> publisher;
  std::string topic;

  explicit Engine(std::string engine_topic, std::string endpoint = std::string(kAnyPort),
                  std::string replay = std::string(kAnyPort))
      : topic(std::move(engine_topic)) {
    start(std::move(endpoint), std::move(replay));
  }
  void start(std::string endpoint, std::string replay) {
    auto opened = EventPublisher::open({.endpoint = std::move(endpoint),
                                        .replay_endpoint = std::move(replay),
                                        .role = EventPublisher::Role::Bind,
                                        .topic = topic});
    ASSERT_TRUE(opened) << opened.error().text();
    publisher = std::move(*opened);
  }
  void restart() {
    const std::string endpoint = publisher->endpoint();
    const std::string replay = publisher->replay_endpoint();
    publisher.reset();
    start(endpoint, replay);
  }
  void store(EngineHash hash, EngineHash parent, TokenId token) {
    EventBatch batch;
    batch.events.emplace_back(BlockStored{
        .hashes = {hash}, .parent = parent, .tokens = {token, token, token, token}, .block_size = 4});
    publisher->publish(std::move(batch));
  }
  std::uint16_t port() const { return port_of(publisher->endpoint()); }
  std::uint16_t replay_port() const { return port_of(publisher->replay_endpoint()); }
  static std::uint16_t port_of(std::string_view endpoint) {
    return static_cast<std::uint16_t>(parse_integer(endpoint.substr(endpoint.rfind(':') + 1)).value());
  }
};

KvIndex::Options four_tokens() {
  return {.block_size = 4};
}

std::uint32_t blocks(const KvIndex& index, EndpointHandle endpoint, std::span<const TokenId> blocks_of) {
  std::vector<TokenId> tokens;
  for (const TokenId token : blocks_of) {
    tokens.insert(tokens.end(), 4, token);
  }
  const RequestKeys keys = index.keys("m");
  std::vector<BlockHash> chain(16);
  chain.resize(keys.chain(keys.init(), tokens, 4, {}, chain));
  std::vector<TierMatch> matches(index.slots());
  index.match(chain, matches);
  return matches[endpoint.slot].blocks;
}

constexpr TokenId kPrompt[] = {1, 2, 3};

TEST(KvFollowerTest, AnEnginesCacheIsKnownAndForgottenWithIt) {
  Engine engine("kv@127.0.0.1:8000@m");
  engine.store(10, 0, 1);
  engine.store(11, 10, 2);
  KvIndex index(four_tokens());
  KvFollower follower(index,
                      {.port = engine.port(), .replay_port = engine.replay_port(), .subscriber = quick()});
  const KvTarget target{.address = "127.0.0.1:8000", .host = "127.0.0.1"};
  ASSERT_TRUE(follower.follow({&target, 1}));
  const EndpointHandle endpoint = follower.endpoint("127.0.0.1:8000").value();
  EXPECT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 2; }));
  engine.store(12, 11, 3);
  EXPECT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 3; }));
  ASSERT_TRUE(follower.follow({}));
  EXPECT_EQ(follower.endpoint("127.0.0.1:8000"), std::nullopt);
  EXPECT_EQ(index.stats().index.entries, 0U);
  EXPECT_EQ(follower.stats().subscriptions, 0U);
}

TEST(KvFollowerTest, ARestartedEngineStartsEmpty) {
  Engine engine("kv@127.0.0.1:8000@m");
  engine.store(10, 0, 1);
  KvIndex index(four_tokens());
  KvFollower follower(index,
                      {.port = engine.port(), .replay_port = engine.replay_port(), .subscriber = quick()});
  const KvTarget target{.address = "127.0.0.1:8000", .host = "127.0.0.1"};
  ASSERT_TRUE(follower.follow({&target, 1}));
  const EndpointHandle endpoint = follower.endpoint("127.0.0.1:8000").value();
  ASSERT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 1; }));
  engine.restart();
  EXPECT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 0; })) << "before it says anything";
  engine.store(10, 0, 1);
  engine.store(11, 10, 2);
  EXPECT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 2; }));
}

TEST(KvFollowerTest, HealingAsksTheEngineForEverythingAgain) {
  Engine engine("kv@127.0.0.1:8000@m");
  engine.store(10, 0, 1);
  KvIndex index(four_tokens());
  KvFollower follower(index,
                      {.port = engine.port(), .replay_port = engine.replay_port(), .subscriber = quick()});
  const KvTarget target{.address = "127.0.0.1:8000", .host = "127.0.0.1"};
  ASSERT_TRUE(follower.follow({&target, 1}));
  const EndpointHandle endpoint = follower.endpoint("127.0.0.1:8000").value();
  ASSERT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 1; }));
  index.clear(endpoint);
  EXPECT_EQ(blocks(index, endpoint, kPrompt), 0U);
  follower.heal("127.0.0.1:8000");
  EXPECT_TRUE(comes_to([&] { return blocks(index, endpoint, kPrompt) == 1; }));
  follower.heal("nobody");
}

TEST(KvFollowerTest, AReplayWithoutTopicsBelongsToTheTargetsModel) {
  ZmqContext context;
  auto live = ZmqSocket::open(context, ZmqSocket::Type::Publish, {}).value();
  auto replay = ZmqSocket::open(context, ZmqSocket::Type::Router, {}).value();
  ASSERT_TRUE(live.bind(std::string(kAnyPort)) && replay.bind(std::string(kAnyPort)));
  KvIndex index(four_tokens());
  KvFollower follower(index, {.port = Engine::port_of(live.bound_endpoint()),
                              .replay_port = Engine::port_of(replay.bound_endpoint()),
                              .subscriber = quick()});
  const KvTarget target{.address = "a:1", .host = "127.0.0.1", .model = "m"};
  ASSERT_TRUE(follower.follow({&target, 1}));
  ZmqSocket::Frames request;
  ASSERT_TRUE(comes_to([&] { return replay.receive(request); }));
  EventBatch batch;
  batch.events.emplace_back(BlockStored{.hashes = {1}, .tokens = {1, 1, 1, 1}, .block_size = 4});
  replay.send({request[0], "", sequence_frame(0), encode_events(batch, EventEncoding::Array)});
  replay.send({request[0], "", sequence_frame(kReplayEnd), ""});
  EXPECT_TRUE(comes_to([&] { return blocks(index, *follower.endpoint("a:1"), kPrompt) == 1; }));
}

TEST(KvFollowerTest, EnginesThatConnectAreToldApartByTheirTopics) {
  KvIndex index(four_tokens());
  KvFollower follower(index, {.port = 0, .central_endpoint = std::string(kAnyPort), .subscriber = quick()});
  const std::vector<KvTarget> targets = {{.address = "10.0.0.1:8000", .host = "10.0.0.1"},
                                         {.address = "10.0.0.2:8000", .host = "10.0.0.2"}};
  ASSERT_TRUE(follower.follow(targets));
  ASSERT_TRUE(comes_to([&] { return !follower.central_endpoint().empty(); }));
  const auto connect = [&](std::string topic) {
    return EventPublisher::open({.endpoint = follower.central_endpoint(),
                                 .role = EventPublisher::Role::Connect,
                                 .topic = std::move(topic)})
        .value();
  };
  const auto known = connect("kv@10.0.0.2:8000@m");
  const auto stranger = connect("kv@10.0.0.9:8000@m");
  EXPECT_TRUE(comes_to([&] {
    for (EventPublisher* const publisher : {known.get(), stranger.get()}) {
      EventBatch batch;
      batch.events.emplace_back(BlockStored{.hashes = {1}, .tokens = {1, 1, 1, 1}, .block_size = 4});
      publisher->publish(std::move(batch));
    }
    return blocks(index, *follower.endpoint("10.0.0.2:8000"), kPrompt) == 1 && follower.stats().strangers > 0;
  }));
  EXPECT_EQ(blocks(index, *follower.endpoint("10.0.0.1:8000"), kPrompt), 0U);
}

TEST(KvFollowerTest, ATargetThatMovesIsANewEngine) {
  KvIndex index(four_tokens());
  KvFollower follower(index, {.subscriber = quick()});
  KvTarget target{.address = "a:1", .host = "127.0.0.1"};
  ASSERT_TRUE(follower.follow({&target, 1}));
  const auto before = follower.endpoint("a:1");
  ASSERT_TRUE(follower.follow({&target, 1}));
  EXPECT_EQ(follower.endpoint("a:1"), before);
  target.rank = 1;
  ASSERT_TRUE(follower.follow({&target, 1}));
  EXPECT_NE(follower.endpoint("a:1"), before);
  EXPECT_EQ(follower.stats().subscriptions, 1U);
}

TEST(KvFollowerTest, MoreEnginesThanSlotsIsAnErrorAndTheOthersAreFollowed) {
  KvIndex index({.block_size = 4, .max_endpoints = 1});
  KvFollower follower(index, {.subscriber = quick()});
  const std::vector<KvTarget> targets = {{.address = "a:1", .host = "127.0.0.1"},
                                         {.address = "b:1", .host = "::1", .rank = 2}};
  const auto followed = follower.follow(targets);
  ASSERT_FALSE(followed);
  EXPECT_EQ(followed.error().kind, ErrorKind::ResourceExhausted);
  EXPECT_TRUE(follower.endpoint("a:1"));
}

}  // namespace
}  // namespace llmd::kvcache
