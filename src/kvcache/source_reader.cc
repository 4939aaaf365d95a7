#include "kvcache/source_reader.h"

#include <utility>

#include "base/log.h"
#include "crypto/hash.h"
#include "kvcache/event_frames.h"

namespace llmd::kvcache {
namespace {

constexpr int kFairShare = 256;  // messages of one source before the others get their turn

double seconds_since_epoch() {
  return std::chrono::duration<double>(system_clock().wall_now().time_since_epoch()).count();
}

}  // namespace

SourceReader::SourceReader(SourceId id, EventSource source, const EventSubscriber::Options& options,
                           EventSink& sink, ZmqContext& context)
    : id_(id), source_(std::move(source)), options_(options), sink_(sink), context_(context) {}

Result<void> SourceReader::open() {
  const ZmqLimits limits{.high_water_mark = options_.high_water_mark,
                         .max_message_bytes = kMaxBatchBytes,
                         .reconnect_first = options_.reconnect_first,
                         .reconnect_last = options_.reconnect_last};
  LLMD_TRY(auto socket, ZmqSocket::open(context_, ZmqSocket::Type::Subscribe, limits));
  LLMD_TRY_VOID(socket.subscribe(options_.topic_filter));
  LLMD_TRY_VOID(socket.watch_connections(context_));
  LLMD_TRY_VOID(source_.bind ? socket.bind(source_.endpoint) : socket.connect(source_.endpoint));
  if (source_.bind) {
    stats_.bound_endpoint = socket.bound_endpoint();
  }
  socket_ = std::move(socket);
  return {};
}

void SourceReader::poll_for(ZmqPoller& poller) const {
  if (!socket_) {
    return;
  }
  poller.add_connections(*socket_);
  if (replay_) {
    poller.add(*replay_->socket);
  } else if (wanted_ == Want::Nothing) {
    poller.add(*socket_);
  }
}

TimePoint SourceReader::wake_time() const {
  if (replay_) {
    return std::min(replay_->idle_until, replay_->ends);
  }
  return wanted_ == Want::Nothing ? quiet_time() : TimePoint::max();
}

TimePoint SourceReader::quiet_time() const {
  const bool wanted = unchecked_ && can_replay() && options_.quiet_check.count() > 0;
  return wanted ? quiet_from_ + options_.quiet_check : TimePoint::max();
}

void SourceReader::note_arrival(TimePoint now) {
  unchecked_ = true;
  quiet_from_ = now;
}

SourceReader::Publisher* SourceReader::publisher_of(std::string_view topic) {
  const std::string_view key = source_.bind ? topic : std::string_view();
  if (const auto found = publishers_.find(key); found != publishers_.end()) {
    return &found->second;
  }
  if (publishers_.size() >= options_.max_publishers) {
    return nullptr;
  }
  return &publishers_[std::string(key)];
}

bool SourceReader::step(TimePoint now, bool may_replay) {
  if (!socket_) {
    return false;
  }
  if (socket_->connected() > 0) {
    std::exchange(was_connected_, true) ? reconnected() : want_replay(Want::All);  // 1
  }
  if (!replay_ && wanted_ != Want::Nothing && may_replay) {
    start_replay(now);
  }
  if (replay_) {
    step_replay(now);
    return !replay_;
  }
  ZmqSocket::Frames frames;
  for (int i = 0; i < kFairShare && wanted_ == Want::Nothing; ++i) {
    if (!socket_->receive(frames)) {
      if (is_quiet(now)) {
        want_replay(Want::Quiet);  // 4
        return may_replay;
      }
      return false;
    }
    note_arrival(now);
    take_live(frames);
  }
  return wanted_ == Want::Nothing || may_replay;
}

void SourceReader::reconnected() {
  ++stats_.reconnections;
  if (!can_replay()) {
    return;
  }
  Publisher& publisher = *publisher_of("");
  held_.reset();
  // Who answers the second half of a replay may not be who answered the first.
  if (replay_ && replay_->want == Want::All) {
    replay_.reset();
    reset(publisher, "", ResetReason::LostMessages);
  }
  want_replay(publisher.sequence.last() ? Want::Check : Want::All);  // 3
}

void SourceReader::take_live(ZmqSocket::Frames& frames) {
  if (frames.size() != 3 || !parse_sequence(frames[1])) {
    ++stats_.malformed;
    return;
  }
  topic_ = frames[0];
  judge_live(frames);
}

void SourceReader::judge_live(ZmqSocket::Frames& frames) {
  const std::uint64_t sequence = *parse_sequence(frames[1]);
  Publisher* const publisher = publisher_of(frames[0]);
  if (publisher == nullptr) {
    ++stats_.malformed;
    return;
  }
  switch (publisher->sequence.judge(sequence)) {
    case Verdict::Next:
      break;
    case Verdict::Duplicate:
      ++stats_.duplicates;
      publisher->sequence.live(sequence);
      return;
    case Verdict::First:
      // A publisher without history that is past its beginning: its past is unknown.
      if (sequence > 0 && can_replay() && system_clock().now() >= no_full_replay_before_) {
        want_replay(Want::All);
        held_ = std::move(frames);
        return;
      }
      break;
    case Verdict::Gap:  // 2
      ++stats_.gaps;
      stats_.missed += publisher->sequence.missing(sequence);
      if (can_replay()) {
        want_replay(Want::Missing);
        held_ = std::move(frames);
        return;
      }
      break;
    case Verdict::Restarted:  // 5
      reset(*publisher, frames[0], ResetReason::Restarted);
      if (can_replay()) {
        want_replay(Want::All);
        held_ = std::move(frames);
        return;
      }
      break;
  }
  apply(*publisher, frames[0], sequence, frames[2], true);
}

void SourceReader::apply(Publisher& publisher, std::string_view topic, std::uint64_t sequence,
                         std::string_view payload, bool live) {
  live ? publisher.sequence.live(sequence) : publisher.sequence.replayed(sequence);
  publisher.last_payload = crypto::xxh64(payload);
  stats_.replayed += live ? 0 : 1;
  auto batch = decode_events(payload);
  if (!batch) {
    ++stats_.malformed;
    log::warning("KV events: unreadable batch", {{"source", source_.name}, {"error", batch.error().text()}});
    return;
  }
  ++stats_.batches;
  stats_.events += batch->events.size();
  stats_.bad_events += batch->bad_events;
  stats_.unknown_events += batch->unknown_events;
  stats_.lag_seconds = seconds_since_epoch() - batch->timestamp;
  sink_.on_events(id_, topic, std::move(*batch));
}

void SourceReader::reset(Publisher& publisher, std::string_view topic, ResetReason reason) {
  ++stats_.resets;
  stats_.restarts += reason == ResetReason::Restarted ? 1 : 0;
  publisher.sequence.forget();
  log::info("KV events: starting over", {{"source", source_.name}, {"reason", to_string(reason)}});
  sink_.on_reset(id_, source_.bind ? topic : std::string_view(), reason);
}

void SourceReader::resync() {
  replay_.reset();
  held_.reset();
  wanted_ = Want::Nothing;
  for (auto& [topic, publisher] : publishers_) {
    reset(publisher, topic, ResetReason::Asked);
  }
  if (publishers_.empty()) {
    sink_.on_reset(id_, "", ResetReason::Asked);
  }
  no_full_replay_before_ = {};
  want_replay(Want::All);
}

void SourceReader::want_replay(Want want) {
  // A replay of everything answers every smaller question.
  if (can_replay() && wanted_ != Want::All && !(replay_ && replay_->want == Want::All)) {
    wanted_ = want;
    replay_.reset();
  }
}

void SourceReader::start_replay(TimePoint now) {
  const Publisher& publisher = *publisher_of("");
  const auto last = publisher.sequence.last();
  Want want = std::exchange(wanted_, Want::Nothing);
  want = last ? want : Want::All;
  const std::uint64_t next = want == Want::All ? 0 : want == Want::Missing ? *last + 1 : *last;
  unchecked_ = unchecked_ && want == Want::Missing;
  ++stats_.replays;
  replay_.emplace(Replay{.want = want,
                         .next = next,
                         .attempts_left = options_.replay_attempts,
                         .idle_until = now,
                         .ends = now + options_.replay_total});
  if (!ask(now)) {
    fail_replay(Failure::Unanswered, now);
  }
}

// A new socket for each attempt: late answers to the last one must not mix in.
bool SourceReader::ask(TimePoint now) {
  auto socket = ZmqSocket::open(context_, ZmqSocket::Type::Dealer,
                                {.high_water_mark = options_.high_water_mark,
                                 .max_message_bytes = kMaxBatchBytes,
                                 .reconnect_first = options_.reconnect_first,
                                 .reconnect_last = options_.reconnect_last});
  if (!socket || !socket->connect(source_.replay_endpoint)) {
    return false;
  }
  replay_->socket = std::move(*socket);
  --replay_->attempts_left;
  replay_->idle_until = now + options_.replay_idle;
  return replay_->socket->send({"", sequence_frame(replay_->next)});
}

void SourceReader::step_replay(TimePoint now) {
  ZmqSocket::Frames frames;
  for (int i = 0; i < kFairShare && replay_->socket->receive(frames); ++i) {
    if (!take_replayed(frames, now)) {
      return;
    }
  }
  const bool idle = now >= replay_->idle_until;
  if (now >= replay_->ends || (idle && (replay_->attempts_left <= 0 || !ask(now)))) {
    fail_replay(Failure::Unanswered, now);
  }
}

bool SourceReader::take_replayed(ZmqSocket::Frames& frames, TimePoint now) {
  // Delimiter, then number and batch, or (vLLM from 0.26 on) topic, number and batch.
  const bool with_topic = frames.size() == 4;
  const auto sequence =
      frames.size() == 3 || with_topic ? parse_sequence(frames[with_topic ? 2 : 1]) : std::nullopt;
  if (!sequence || !frames[0].empty()) {
    ++stats_.malformed;
    return true;
  }
  const std::string& payload = frames.back();
  if (*sequence == kReplayEnd && payload.empty()) {
    if (replay_->want != Want::All && replay_->first) {
      fail_replay(replay_->want == Want::Missing ? Failure::Hole : Failure::AnotherProcess, now);
    } else {
      finish_replay(now);
    }
    return false;
  }
  Publisher& publisher = *publisher_of("");
  if (*sequence < replay_->next) {
    ++stats_.duplicates;
    return true;
  }
  const bool may_begin_later = replay_->want == Want::All && replay_->first;
  if (*sequence > replay_->next && !may_begin_later) {
    fail_replay(Failure::Hole, now);
    return false;
  }
  const bool is_check = replay_->first && (replay_->want == Want::Check || replay_->want == Want::Quiet);
  if (is_check && crypto::xxh64(payload) != publisher.last_payload) {
    fail_replay(Failure::AnotherProcess, now);
    return false;
  }
  replay_->first = false;
  replay_->next = *sequence + 1;
  replay_->attempts_left = options_.replay_attempts;
  replay_->idle_until = now + options_.replay_idle;
  if (!is_check) {
    note_arrival(now);
    apply(publisher, with_topic ? std::string_view(frames[1]) : std::string_view(topic_), *sequence, payload,
          false);
  }
  return true;
}

void SourceReader::finish_replay(TimePoint now) {
  replay_.reset();
  quiet_from_ = now;
  if (!held_) {
    return;
  }
  ZmqSocket::Frames frames = std::move(*held_);
  held_.reset();
  const std::uint64_t sequence = *parse_sequence(frames[1]);
  Publisher& publisher = *publisher_of("");
  // The publisher no longer had what is missing, or has begun anew meanwhile: asking again would change
  // nothing.
  const Verdict verdict = publisher.sequence.judge(sequence);
  if (verdict == Verdict::Gap || verdict == Verdict::First) {
    apply(publisher, frames[0], sequence, frames[2], true);
  } else {
    judge_live(frames);
  }
}

void SourceReader::fail_replay(Failure failure, TimePoint now) {
  constexpr std::string_view kReasons[] = {"no answer", "another process answers", "batches are missing"};
  ++stats_.failed_replays;
  log::warning("KV events: replay failed", {{"source", source_.name},
                                            {"endpoint", source_.replay_endpoint},
                                            {"reason", kReasons[static_cast<std::size_t>(failure)]}});
  const Want wanted = replay_->want;
  replay_.reset();
  if (wanted == Want::All) {
    no_full_replay_before_ = now + options_.cooldown;
  } else if (wanted != Want::Quiet || failure != Failure::Unanswered) {
    const bool restarted = wanted != Want::Missing && failure != Failure::Hole;
    reset(*publisher_of(""), "", restarted ? ResetReason::Restarted : ResetReason::LostMessages);
    if (now >= no_full_replay_before_) {
      want_replay(Want::All);
      return;
    }
  }
  finish_replay(now);
}

}  // namespace llmd::kvcache
