#include "kvcache/event_publisher.h"

#include <pthread.h>

#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "kvcache/event_frames.h"
#include "kvcache/wake_up.h"
#include "kvcache/zmq_socket.h"

namespace llmd::kvcache {
namespace {

constexpr std::chrono::milliseconds kForever{-1};

bool binds(const EventPublisher::Options& options) {
  if (options.role != EventPublisher::Role::ByEndpoint) {
    return options.role == EventPublisher::Role::Bind;
  }
  const std::string& endpoint = options.endpoint;
  return endpoint.contains('*') || endpoint.contains("::") || endpoint.starts_with("ipc") ||
         endpoint.starts_with("inproc");
}

}  // namespace

struct EventPublisher::State {
  struct Queued {
    std::uint64_t sequence;
    EventBatch batch;
  };
  struct Sent {
    std::uint64_t sequence;
    std::string payload;
  };

  Options options;
  ZmqContext context;
  WakeUp wake_up;
  mutable std::mutex mutex;  // guards the five below
  std::deque<Queued> queue;
  std::uint64_t next_sequence = 0;
  bool stopping = false;
  Stats stats;
  std::string endpoint;
  std::string bound_replay;

  // The thread's own.
  std::optional<ZmqSocket> publish;
  std::optional<ZmqSocket> replay;
  std::deque<Sent> sent;
  std::size_t sent_bytes = 0;
  std::thread thread;

  Result<void> open();
  void run();
  bool send_queued();
  void keep(std::uint64_t sequence, std::string payload);
  void answer_replays();
};

Result<void> EventPublisher::State::open() {
  LLMD_TRY(publish,
           ZmqSocket::open(context, ZmqSocket::Type::Publish, {.high_water_mark = options.high_water_mark}));
  const bool bound = binds(options);
  LLMD_TRY_VOID(bound ? publish->bind(options.endpoint) : publish->connect(options.endpoint));
  endpoint = bound ? publish->bound_endpoint() : options.endpoint;
  if (!options.replay_endpoint.empty()) {
    LLMD_TRY(replay,
             ZmqSocket::open(context, ZmqSocket::Type::Router, {.high_water_mark = options.high_water_mark}));
    LLMD_TRY_VOID(replay->bind(options.replay_endpoint));
    bound_replay = replay->bound_endpoint();
  }
  return {};
}

void EventPublisher::State::keep(std::uint64_t sequence, std::string payload) {
  if (!replay || options.buffer_steps == 0) {
    return;
  }
  sent_bytes += payload.size();
  sent.push_back({sequence, std::move(payload)});
  while (sent.size() > options.buffer_steps || (sent_bytes > options.buffer_bytes && sent.size() > 1)) {
    sent_bytes -= sent.front().payload.size();
    sent.pop_front();
  }
}

// True when it is time to stop.
bool EventPublisher::State::send_queued() {
  while (true) {
    std::unique_lock lock(mutex);
    if (queue.empty()) {
      return stopping;
    }
    const Queued next = std::move(queue.front());
    queue.pop_front();
    ++stats.published;
    lock.unlock();
    std::string payload = encode_events(next.batch, options.encoding);
    // A subscriber that is too slow loses messages here and asks for them again.
    publish->send({options.topic, sequence_frame(next.sequence), payload});
    keep(next.sequence, std::move(payload));
  }
}

void EventPublisher::State::answer_replays() {
  ZmqSocket::Frames frames;
  while (replay && replay->receive(frames)) {
    // Asker, delimiter, first sequence wanted.
    const auto from = frames.size() == 3 ? parse_sequence(frames[2]) : std::nullopt;
    if (!from) {
      log::warning("KV events: a replay request that is none", {{"frames", frames.size()}});
      continue;
    }
    for (const Sent& batch : sent) {
      if (batch.sequence >= *from) {
        replay->send({frames[0], "", options.topic, sequence_frame(batch.sequence), batch.payload});
      }
    }
    replay->send({frames[0], "", options.topic, sequence_frame(kReplayEnd), ""});
    const std::lock_guard lock(mutex);
    ++stats.replays;
  }
}

void EventPublisher::State::run() {
  ZmqPoller poller;
  poller.add_descriptor(wake_up.descriptor());
  if (replay) {
    poller.add(*replay);
  }
  while (!send_queued()) {
    answer_replays();
    poller.wait(kForever);
    wake_up.clear();
  }
}

EventPublisher::EventPublisher(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<EventPublisher>> EventPublisher::open(Options options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  if (auto opened = state->open(); !opened) {
    return std::unexpected(std::move(opened.error()).within("publishing KV events"));
  }
  // Sockets may move to another thread as long as a full fence lies between; starting a thread is one.
  state->thread = std::thread([self = state.get()] { self->run(); });
  pthread_setname_np(state->thread.native_handle(), "kv-publish");
  return std::unique_ptr<EventPublisher>(new EventPublisher(std::move(state)));
}

EventPublisher::~EventPublisher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake_up.signal();
  state_->thread.join();
}

void EventPublisher::publish(EventBatch batch) {
  {
    const std::lock_guard lock(state_->mutex);
    const std::uint64_t sequence = state_->next_sequence++;
    if (state_->queue.size() >= state_->options.max_queued) {
      ++state_->stats.dropped;
      return;
    }
    state_->queue.push_back({sequence, std::move(batch)});
  }
  state_->wake_up.signal();
}

const std::string& EventPublisher::endpoint() const {
  return state_->endpoint;
}
const std::string& EventPublisher::replay_endpoint() const {
  return state_->bound_replay;
}

EventPublisher::Stats EventPublisher::stats() const {
  const std::lock_guard lock(state_->mutex);
  return state_->stats;
}

Result<std::string> endpoint_of_rank(const std::string& endpoint, std::uint32_t rank) {
  if (rank == 0) {
    return endpoint;
  }
  if (endpoint.starts_with("inproc") || endpoint.starts_with("ipc")) {
    return fmt::format("{}_dp{}", endpoint, rank);
  }
  const std::size_t colon = endpoint.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_integer(std::string_view(endpoint).substr(colon + 1));
  if (!port || *port < 1 || *port + rank > 65'535) {
    return invalid_argument("KV events: '{}' has no port that rank {} could be added to", endpoint, rank);
  }
  return fmt::format("{}:{}", endpoint.substr(0, colon), *port + rank);
}

}  // namespace llmd::kvcache
