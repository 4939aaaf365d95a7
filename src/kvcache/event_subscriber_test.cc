#include "kvcache/event_subscriber.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "kvcache/event_frames.h"
#include "kvcache/event_publisher.h"
#include "kvcache/eventually_test.h"
#include "kvcache/sequence_tracker.h"
#include "kvcache/zmq_socket.h"

namespace llmd::kvcache {
namespace {

using std::chrono::milliseconds;

// The hashes that arrived, in order, since the last reset.
class Recorder final : public EventSink {
 public:
  void on_events(SourceId, std::string_view topic, EventBatch batch) override {
    const std::lock_guard lock(mutex_);
    topic_ = topic;
    for (const KvEvent& event : batch.events) {
      if (const auto* const stored = std::get_if<BlockStored>(&event)) {
        hashes_.insert(hashes_.end(), stored->hashes.begin(), stored->hashes.end());
      }
    }
    changed_.notify_all();
  }
  void on_reset(SourceId, std::string_view, ResetReason reason) override {
    const std::lock_guard lock(mutex_);
    hashes_.clear();
    reasons_.push_back(reason);
    changed_.notify_all();
  }
  // Waits until exactly these have arrived; false after ten seconds.
  bool comes_to_have(const std::vector<EngineHash>& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return hashes_ == wanted; });
  }
  std::vector<EngineHash> hashes() {
    const std::lock_guard lock(mutex_);
    return hashes_;
  }
  std::string topic() {
    const std::lock_guard lock(mutex_);
    return topic_;
  }
  std::vector<ResetReason> reasons() {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<EngineHash> hashes_;
  std::vector<ResetReason> reasons_;
  std::string topic_;
};

EventBatch stored(EngineHash hash) {
  EventBatch batch{.timestamp = 1};
  batch.events.emplace_back(BlockStored{.hashes = {hash}, .tokens = {1}, .block_size = 1});
  return batch;
}

std::vector<EngineHash> up_to(EngineHash last) {
  std::vector<EngineHash> hashes;
  for (EngineHash hash = 1; hash <= last; ++hash) {
    hashes.push_back(hash);
  }
  return hashes;
}

EventSubscriber::Options quick_without_checks() {
  auto options = quick();
  options.quiet_check = milliseconds(0);
  return options;
}

std::unique_ptr<EventPublisher> publisher_at(std::string endpoint, std::string replay_endpoint) {
  auto publisher = EventPublisher::open({.endpoint = std::move(endpoint),
                                         .replay_endpoint = std::move(replay_endpoint),
                                         .role = EventPublisher::Role::Bind,
                                         .topic = "kv@10.0.0.1:8000@m"});
  EXPECT_TRUE(publisher) << publisher.error().text();
  return std::move(*publisher);
}

// A publisher whose every frame the test decides.
struct RawPublisher {
  ZmqContext context;
  ZmqSocket publish = ZmqSocket::open(context, ZmqSocket::Type::Publish, {}).value();
  ZmqSocket replay = ZmqSocket::open(context, ZmqSocket::Type::Router, {}).value();
  ZmqPoller poller;

  RawPublisher() {
    EXPECT_TRUE(publish.bind(std::string(kAnyPort)));
    EXPECT_TRUE(replay.bind(std::string(kAnyPort)));
    poller.add(replay);
  }
  void live(std::uint64_t sequence, EngineHash hash) {
    publish.send({"kv@p@m", sequence_frame(sequence), encode_events(stored(hash), EventEncoding::Array)});
  }
  // Waits for a replay request; gives who asked and from where.
  std::pair<std::string, std::uint64_t> request() {
    ZmqSocket::Frames frames;
    while (!replay.receive(frames)) {
      poller.wait(milliseconds(10'000));
    }
    return {frames.at(0), parse_sequence(frames.at(2)).value()};
  }
  void answer(const std::string& asker, std::uint64_t sequence, EngineHash hash) {
    replay.send({asker, "", sequence_frame(sequence), encode_events(stored(hash), EventEncoding::Array)});
  }
  void end(const std::string& asker) { replay.send({asker, "", sequence_frame(kReplayEnd), ""}); }
};

TEST(SequenceTrackerTest, TellsLossDuplicatesAndRestartsApart) {
  using Verdict = SequenceTracker::Verdict;
  SequenceTracker tracker;
  EXPECT_EQ(tracker.judge(5), Verdict::First);
  tracker.replayed(5);
  EXPECT_EQ(tracker.judge(3), Verdict::Duplicate) << "nothing live yet: the replay was ahead";
  tracker.live(3);
  EXPECT_EQ(tracker.judge(4), Verdict::Duplicate);
  EXPECT_EQ(tracker.judge(6), Verdict::Next);
  EXPECT_EQ(tracker.judge(9), Verdict::Gap);
  EXPECT_EQ(tracker.missing(9), 3U);
  tracker.live(6);
  EXPECT_EQ(tracker.judge(6), Verdict::Duplicate);
  EXPECT_EQ(tracker.judge(0), Verdict::Restarted);
}

TEST(EventSubscriberTest, ALateSubscriberGetsTheHistoryAndThenWhatIsNew) {
  auto publisher = publisher_at(std::string(kAnyPort), std::string(kAnyPort));
  for (EngineHash hash = 1; hash <= 5; ++hash) {
    publisher->publish(stored(hash));
  }
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  const auto id =
      subscriber.add({.endpoint = publisher->endpoint(), .replay_endpoint = publisher->replay_endpoint()});
  ASSERT_TRUE(recorder.comes_to_have(up_to(5)));
  for (EngineHash hash = 6; hash <= 300; ++hash) {
    publisher->publish(stored(hash));
  }
  ASSERT_TRUE(recorder.comes_to_have(up_to(300)));
  EXPECT_EQ(recorder.topic(), "kv@10.0.0.1:8000@m");
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).resets == 0; }));
}

TEST(EventSubscriberTest, ARestartedPublisherIsNoticedAndItsBlocksReplaceTheOldOnes) {
  auto publisher = publisher_at(std::string(kAnyPort), std::string(kAnyPort));
  const std::string endpoint = publisher->endpoint();
  const std::string replay = publisher->replay_endpoint();
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  const auto id = subscriber.add({.endpoint = endpoint, .replay_endpoint = replay});
  for (EngineHash hash = 1; hash <= 3; ++hash) {
    publisher->publish(stored(hash));
  }
  ASSERT_TRUE(recorder.comes_to_have(up_to(3)));
  publisher.reset();
  publisher = publisher_at(endpoint, replay);
  publisher->publish(stored(100));
  ASSERT_TRUE(recorder.comes_to_have({100}));
  publisher->publish(stored(101));
  ASSERT_TRUE(recorder.comes_to_have({100, 101}));
  ASSERT_FALSE(recorder.reasons().empty());
  EXPECT_EQ(recorder.reasons().front(), ResetReason::Restarted);
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).restarts >= 1; }));
}

TEST(EventSubscriberTest, ARestartIsNoticedEvenWhenTheNewPublisherIsFurtherThanTheOldOne) {
  auto publisher = publisher_at(std::string(kAnyPort), std::string(kAnyPort));
  const std::string endpoint = publisher->endpoint();
  const std::string replay = publisher->replay_endpoint();
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  subscriber.add({.endpoint = endpoint, .replay_endpoint = replay});
  publisher->publish(stored(1));
  publisher->publish(stored(2));
  ASSERT_TRUE(recorder.comes_to_have({1, 2}));
  publisher.reset();
  publisher = publisher_at(endpoint, replay);
  for (EngineHash hash = 11; hash <= 15; ++hash) {
    publisher->publish(stored(hash));
  }
  ASSERT_TRUE(recorder.comes_to_have({11, 12, 13, 14, 15}));
}

TEST(EventSubscriberTest, LostMessagesAreReplayed) {
  RawPublisher publisher;
  Recorder recorder;
  EventSubscriber subscriber(quick_without_checks(), recorder);
  const auto id = subscriber.add(
      {.endpoint = publisher.publish.bound_endpoint(), .replay_endpoint = publisher.replay.bound_endpoint()});
  auto [asker, from] = publisher.request();
  EXPECT_EQ(from, 0U);
  publisher.answer(asker, 0, 1);
  publisher.end(asker);
  ASSERT_TRUE(recorder.comes_to_have({1}));
  publisher.live(1, 2);
  ASSERT_TRUE(recorder.comes_to_have({1, 2}));
  publisher.live(4, 5);  // 2 and 3 are lost
  std::tie(asker, from) = publisher.request();
  EXPECT_EQ(from, 2U);
  for (const EngineHash hash : {3, 4, 5}) {
    publisher.answer(asker, hash - 1, hash);
  }
  publisher.end(asker);
  ASSERT_TRUE(recorder.comes_to_have(up_to(5)));
  publisher.live(4, 5);  // once more
  publisher.live(5, 6);
  ASSERT_TRUE(recorder.comes_to_have(up_to(6)));
  EXPECT_TRUE(recorder.reasons().empty());
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).missed == 2; }));
}

TEST(EventSubscriberTest, AReplayThatStopsHalfwayIsContinuedWhereItStopped) {
  RawPublisher publisher;
  Recorder recorder;
  EventSubscriber subscriber(quick_without_checks(), recorder);
  subscriber.add(
      {.endpoint = publisher.publish.bound_endpoint(), .replay_endpoint = publisher.replay.bound_endpoint()});
  auto [asker, from] = publisher.request();
  publisher.answer(asker, 0, 1);
  publisher.answer(asker, 1, 2);
  std::tie(asker, from) = publisher.request();
  EXPECT_EQ(from, 2U);
  publisher.answer(asker, 2, 3);
  publisher.end(asker);
  EXPECT_TRUE(recorder.comes_to_have({1, 2, 3}));
  EXPECT_TRUE(recorder.reasons().empty());
}

TEST(EventSubscriberTest, WhatCannotBeReplayedResetsTheSource) {
  RawPublisher publisher;
  Recorder recorder;
  EventSubscriber subscriber(quick_without_checks(), recorder);
  subscriber.add(
      {.endpoint = publisher.publish.bound_endpoint(), .replay_endpoint = publisher.replay.bound_endpoint()});
  auto [asker, from] = publisher.request();
  publisher.answer(asker, 0, 1);
  publisher.end(asker);
  ASSERT_TRUE(recorder.comes_to_have({1}));
  publisher.live(9, 10);
  std::tie(asker, from) = publisher.request();
  EXPECT_EQ(from, 1U);
  publisher.answer(asker, 7, 8);  // 1 to 6 are no longer there
  std::tie(asker, from) = publisher.request();
  EXPECT_EQ(from, 0U) << "all that is left";
  publisher.answer(asker, 7, 8);
  publisher.answer(asker, 8, 9);
  publisher.end(asker);
  EXPECT_TRUE(recorder.comes_to_have({8, 9, 10}));
  EXPECT_EQ(recorder.reasons(), std::vector<ResetReason>{ResetReason::LostMessages});
}

TEST(EventSubscriberTest, TheEndOfABurstIsAskedForWhenItGotLost) {
  RawPublisher publisher;
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  subscriber.add(
      {.endpoint = publisher.publish.bound_endpoint(), .replay_endpoint = publisher.replay.bound_endpoint()});
  auto [asker, from] = publisher.request();
  publisher.answer(asker, 0, 1);
  publisher.end(asker);
  std::tie(asker, from) = publisher.request();
  EXPECT_EQ(from, 0U) << "the last one is asked for again";
  publisher.answer(asker, 0, 1);
  publisher.answer(asker, 1, 2);
  publisher.end(asker);
  EXPECT_TRUE(recorder.comes_to_have({1, 2}));
  EXPECT_TRUE(recorder.reasons().empty());
}

TEST(EventSubscriberTest, WithoutReplayGapsAreCountedAndRestartsReset) {
  RawPublisher publisher;
  Recorder recorder;
  EventSubscriber subscriber(quick_without_checks(), recorder);
  const auto id = subscriber.add({.endpoint = publisher.publish.bound_endpoint()});
  // Until the subscription has arrived messages go nowhere.
  for (std::uint64_t sequence = 0; recorder.hashes().empty(); ++sequence) {
    publisher.live(1000 + sequence, 1);
    std::this_thread::yield();
  }
  publisher.live(5'000'000, 2);
  publisher.publish.send({"kv@p@m", "short", ""});
  publisher.publish.send({"kv@p@m", sequence_frame(5'000'001), "no msgpack"});
  publisher.live(7, 3);
  EXPECT_TRUE(recorder.comes_to_have({3}));
  EXPECT_EQ(recorder.reasons(), std::vector<ResetReason>{ResetReason::Restarted});
  publisher.live(8, 4);
  EXPECT_TRUE(recorder.comes_to_have({3, 4}));
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).gaps == 1; }));
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).malformed == 2; }));
}

TEST(EventSubscriberTest, AReplayEndpointThatNeverAnswersDoesNotKeepLiveEventsAway) {
  auto publisher = publisher_at(std::string(kAnyPort), "");
  auto options = quick();
  options.replay_idle = milliseconds(20);
  Recorder recorder;
  EventSubscriber subscriber(options, recorder);
  const auto id = subscriber.add({.endpoint = publisher->endpoint(), .replay_endpoint = "tcp://127.0.0.1:9"});
  for (EngineHash hash = 1; recorder.hashes().empty(); ++hash) {
    publisher->publish(stored(hash));
    std::this_thread::yield();
  }
  EXPECT_TRUE(comes_to([&] { return subscriber.stats(id).failed_replays >= 1; }));
}

TEST(EventSubscriberTest, ResyncAsksForEverythingAgain) {
  auto publisher = publisher_at(std::string(kAnyPort), std::string(kAnyPort));
  publisher->publish(stored(1));
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  const auto id =
      subscriber.add({.endpoint = publisher->endpoint(), .replay_endpoint = publisher->replay_endpoint()});
  ASSERT_TRUE(recorder.comes_to_have({1}));
  subscriber.resync(id);
  while (recorder.reasons().empty()) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(recorder.comes_to_have({1}));
}

TEST(EventSubscriberTest, EnginesMayConnectToOneCentralSocket) {
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  const auto id = subscriber.add({.endpoint = std::string(kAnyPort), .bind = true});
  std::string endpoint;
  while (endpoint.empty()) {
    endpoint = subscriber.stats(id).bound_endpoint;
    std::this_thread::yield();
  }
  auto a = EventPublisher::open({.endpoint = endpoint, .topic = "kv@a@m"});
  auto b = EventPublisher::open({.endpoint = endpoint, .topic = "kv@b@m"});
  ASSERT_TRUE(a && b);
  for (EngineHash hash = 1; subscriber.stats(id).batches < 2 || recorder.topic() != "kv@b@m"; ++hash) {
    (*a)->publish(stored(hash));
    (*b)->publish(stored(hash));
    std::this_thread::yield();
  }
  EXPECT_TRUE(recorder.reasons().empty()) << "each topic has sequence numbers of its own";
}

TEST(EventSubscriberTest, ManySourcesComeAndGo) {
  Recorder recorder;
  EventSubscriber subscriber(quick(), recorder);
  std::vector<std::unique_ptr<EventPublisher>> publishers;
  std::vector<SourceId> ids;
  for (int i = 0; i < 20; ++i) {
    publishers.push_back(publisher_at(std::string(kAnyPort), std::string(kAnyPort)));
    publishers.back()->publish(stored(7));
    ids.push_back(subscriber.add({.endpoint = publishers.back()->endpoint(),
                                  .replay_endpoint = publishers.back()->replay_endpoint()}));
  }
  EXPECT_TRUE(recorder.comes_to_have(std::vector<EngineHash>(20, 7)));
  for (const SourceId id : ids) {
    subscriber.remove(id);
  }
  EXPECT_EQ(subscriber.sources(), 0U);
}

}  // namespace
}  // namespace llmd::kvcache
