#include "kvcache/event_subscriber.h"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "kvcache/source_reader.h"
#include "kvcache/wake_up.h"

namespace llmd::kvcache {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestWait{10'000};

void add_up(SourceStats& sum, const SourceStats& one) {
  sum.batches += one.batches;
  sum.events += one.events;
  sum.replayed += one.replayed;
  sum.duplicates += one.duplicates;
  sum.gaps += one.gaps;
  sum.missed += one.missed;
  sum.restarts += one.restarts;
  sum.resets += one.resets;
  sum.replays += one.replays;
  sum.failed_replays += one.failed_replays;
  sum.reconnections += one.reconnections;
  sum.malformed += one.malformed;
  sum.bad_events += one.bad_events;
  sum.unknown_events += one.unknown_events;
  sum.lag_seconds = std::max(sum.lag_seconds, one.lag_seconds);
  sum.replaying = sum.replaying || one.replaying;
}

}  // namespace

std::string_view to_string(ResetReason reason) {
  switch (reason) {
    case ResetReason::Restarted:
      return "the publisher restarted";
    case ResetReason::LostMessages:
      return "messages were lost";
    case ResetReason::Asked:
      return "asked to";
  }
  return "unknown";
}

struct EventSubscriber::State {
  struct Command {
    enum class Kind { Add, Remove, Resync } kind;
    SourceId id;
    EventSource source;
  };

  Options options;
  EventSink& sink;
  ZmqContext context;
  WakeUp wake_up;
  mutable std::mutex mutex;  // guards the four below
  std::vector<Command> commands;
  std::map<SourceId, SourceStats> stats;
  std::uint64_t next_id = 1;
  bool stopping = false;

  std::map<SourceId, SourceReader> readers;  // the thread's
  std::thread thread;

  State(Options o, EventSink& s) : options(std::move(o)), sink(s) {}

  void send(Command command) {
    {
      const std::lock_guard lock(mutex);
      commands.push_back(std::move(command));
    }
    wake_up.signal();
  }
  bool obey();
  void add(SourceId id, EventSource source);
  bool step_all();
  void run();
  void publish_stats(SourceId id, const SourceReader& reader);
};

void EventSubscriber::State::add(SourceId id, EventSource source) {
  const std::string name = source.name;
  const std::string endpoint = source.endpoint;
  auto& reader = readers.try_emplace(id, id, std::move(source), options, sink, context).first->second;
  if (const auto opened = reader.open(); !opened) {
    log::error("KV events: cannot subscribe",
               {{"source", name}, {"endpoint", endpoint}, {"error", opened.error().text()}});
  }
  publish_stats(id, reader);
}

// Carries out what other threads asked for. True when the thread is to end.
bool EventSubscriber::State::obey() {
  wake_up.clear();
  std::vector<Command> todo;
  {
    const std::lock_guard lock(mutex);
    if (stopping) {
      return true;
    }
    todo.swap(commands);
  }
  for (Command& command : todo) {
    const auto reader = readers.find(command.id);
    if (command.kind == Command::Kind::Add) {
      add(command.id, std::move(command.source));
    } else if (command.kind == Command::Kind::Remove) {
      readers.erase(command.id);
    } else if (reader != readers.end()) {
      reader->second.resync();
    }
  }
  return false;
}

void EventSubscriber::State::publish_stats(SourceId id, const SourceReader& reader) {
  const std::lock_guard lock(mutex);
  if (const auto entry = stats.find(id); entry != stats.end()) {
    entry->second = reader.stats();
    entry->second.replaying = reader.replaying();
  }
}

// True when a source can go on at once: it has more than its fair share waiting, or its replay has ended,
// which also makes room for another.
bool EventSubscriber::State::step_all() {
  const TimePoint now = system_clock().now();
  auto replays = static_cast<std::size_t>(
      std::ranges::count_if(readers, [](const auto& entry) { return entry.second.replaying(); }));
  bool more = false;
  for (auto& [id, reader] : readers) {
    const bool was_replaying = reader.replaying();
    more = reader.step(now, replays < options.max_replays) || more;
    replays += !was_replaying && reader.replaying() ? 1 : 0;
    publish_stats(id, reader);
  }
  return more;
}

void EventSubscriber::State::run() {
  ZmqPoller poller;
  while (!obey()) {
    const bool more = step_all();
    TimePoint wake = system_clock().now() + kLongestWait;
    poller.clear();
    poller.add_descriptor(wake_up.descriptor());
    for (const auto& [id, reader] : readers) {
      reader.poll_for(poller);
      wake = std::min(wake, reader.wake_time());
    }
    const auto wait = std::chrono::ceil<milliseconds>(wake - system_clock().now());
    poller.wait(more ? milliseconds(0) : std::max(wait, milliseconds(0)));
  }
  readers.clear();
}

EventSubscriber::EventSubscriber(Options options, EventSink& sink)
    : state_(std::make_unique<State>(std::move(options), sink)) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
  pthread_setname_np(state_->thread.native_handle(), "kv-subscribe");
}

EventSubscriber::~EventSubscriber() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake_up.signal();
  state_->thread.join();
}

SourceId EventSubscriber::add(EventSource source) {
  SourceId id{};
  {
    const std::lock_guard lock(state_->mutex);
    id = SourceId(state_->next_id++);
    state_->stats[id];
  }
  state_->send({State::Command::Kind::Add, id, std::move(source)});
  return id;
}

void EventSubscriber::remove(SourceId source) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stats.erase(source);
  }
  state_->send({State::Command::Kind::Remove, source, {}});
}

void EventSubscriber::resync(SourceId source) {
  state_->send({State::Command::Kind::Resync, source, {}});
}

std::size_t EventSubscriber::sources() const {
  const std::lock_guard lock(state_->mutex);
  return state_->stats.size();
}

SourceStats EventSubscriber::stats(SourceId source) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->stats.find(source);
  return found == state_->stats.end() ? SourceStats() : found->second;
}

SourceStats EventSubscriber::total() const {
  const std::lock_guard lock(state_->mutex);
  SourceStats sum;
  for (const auto& [id, stats] : state_->stats) {
    add_up(sum, stats);
  }
  return sum;
}

}  // namespace llmd::kvcache
