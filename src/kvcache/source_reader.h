// One source of EventSubscriber: its sockets and where it is between live and replay. Used on the
// subscriber's thread only; see event_subscriber.h for the rules, whose numbers stand in source_reader.cc.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "kvcache/event_subscriber.h"
#include "kvcache/sequence_tracker.h"
#include "kvcache/zmq_socket.h"

namespace llmd::kvcache {

class SourceReader {
 public:
  SourceReader(SourceId id, EventSource source, const EventSubscriber::Options& options, EventSink& sink,
               ZmqContext& context);

  Result<void> open();
  // What to wait for before the next step().
  void poll_for(ZmqPoller& poller) const;
  // The latest time of the next step().
  TimePoint wake_time() const;
  // Takes what has arrived, at most a fair share. `may_replay`: there is room for one more replay. True when
  // more waits.
  bool step(TimePoint now, bool may_replay);
  void resync();
  bool replaying() const { return replay_.has_value(); }
  const SourceStats& stats() const { return stats_; }

 private:
  using Verdict = SequenceTracker::Verdict;
  // Check and Quiet ask for the last batch again: after a reconnection, or because nothing has come for a
  // while. Only the second may go without an answer.
  enum class Want { Nothing, All, Missing, Check, Quiet };
  struct Replay {
    std::optional<ZmqSocket> socket;
    Want want;
    std::uint64_t next;  // the number that must come next; of a full one: the least that may
    bool first = true;   // nothing has come yet
    int attempts_left;
    TimePoint idle_until;
    TimePoint ends;
  };
  struct Publisher {
    SequenceTracker sequence;
    std::uint64_t last_payload = 0;  // hash of the last batch
  };

  void reconnected();
  Publisher* publisher_of(std::string_view topic);
  bool is_quiet(TimePoint now) const { return now >= quiet_time(); }
  TimePoint quiet_time() const;
  void note_arrival(TimePoint now);
  void take_live(ZmqSocket::Frames& frames);
  void judge_live(ZmqSocket::Frames& frames);
  void apply(Publisher& publisher, std::string_view topic, std::uint64_t sequence, std::string_view payload,
             bool live);
  void reset(Publisher& publisher, std::string_view topic, ResetReason reason);
  void want_replay(Want want);
  void start_replay(TimePoint now);
  bool ask(TimePoint now);
  void step_replay(TimePoint now);
  bool take_replayed(ZmqSocket::Frames& frames, TimePoint now);  // false when the replay is over
  void finish_replay(TimePoint now);
  enum class Failure { Unanswered, AnotherProcess, Hole };
  void fail_replay(Failure failure, TimePoint now);
  bool can_replay() const { return !source_.replay_endpoint.empty() && !source_.bind; }

  SourceId id_;
  EventSource source_;
  const EventSubscriber::Options& options_;
  EventSink& sink_;
  ZmqContext& context_;
  std::optional<ZmqSocket> socket_;
  std::map<std::string, Publisher, std::less<>> publishers_;  // one, unnamed, unless the source binds
  std::string topic_;  // the last one seen, for replays that do not say it
  Want wanted_ = Want::Nothing;
  std::optional<Replay> replay_;
  std::optional<ZmqSocket::Frames> held_;  // the live message that showed the gap
  TimePoint no_full_replay_before_{};
  bool was_connected_ = false;
  bool unchecked_ = false;  // something has come since the last Check or Quiet
  TimePoint quiet_from_{};  // when something came last
  SourceStats stats_;
};

}  // namespace llmd::kvcache
