// FlowControl: lets requests wait until the pool has room for them (flow_queue.h has the rules).
//
// Dispatch is event driven: a request that arrives, ends or is told about new numbers dispatches as many as
// fit, on its own thread. Saturation counts what was let through and holds no lease yet, so that a burst
// cannot pass a momentary gap. Any thread; waiting tasks wake up on their own loops. Numbers also grow old by
// themselves: one of those that wait, the watchman, looks again ten times a second for all of them.
#pragma once

#include <atomic>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "async/deadline.h"
#include "picker/flowcontrol/drop_summary.h"
#include "picker/flowcontrol/eviction.h"
#include "picker/flowcontrol/flow_metrics.h"
#include "picker/flowcontrol/flow_queue.h"

namespace llmd::picker {

class FlowControl : public std::enable_shared_from_this<FlowControl> {
 public:
  // What was let through and holds no lease yet.
  struct Pending {
    int requests = 0;
    std::int64_t tokens = 0;  // of their prompts
  };
  // How full the pool is when so much more was on its way; at least 1 when it is empty.
  struct Pool {
    double saturation = 1;
    bool empty = true;
    int in_flight = 0;  // requests on all endpoints
  };
  using Look = std::function<Pool(Pending pending)>;
  // Whether an endpoint is one of the pool's: the end of a request elsewhere makes no room.
  using Has = std::function<bool(const EndpointState& endpoint)>;

  FlowControl(std::shared_ptr<const Plan> plan, int shed_status, const Clock& clock, Look look, Has has);

  // Room that was given to one request until it holds its lease. Giving it back may let others through.
  class Admission {
   public:
    Admission() = default;
    Admission(std::shared_ptr<FlowControl> owner, std::int64_t tokens)
        : owner_(std::move(owner)), tokens_(tokens) {}
    Admission(Admission&& other) noexcept = default;
    Admission& operator=(Admission&& other) noexcept;
    ~Admission();

   private:
    std::shared_ptr<FlowControl> owner_;
    std::int64_t tokens_ = 0;
  };

  // Cancelling the task takes the request out of the queue.
  Task<std::expected<Admission, Rejection>> admit(const Request& request, async::Deadline deadline);

  // Running requests that may be taken back for others (Decision::on_evicted).
  bool evicts() const { return evicts_; }
  void add_running(Evictor::Running& running);
  void remove_running(Evictor::Running& running);

  // Something ended or changed. Costs one atomic read when nobody waits.
  void poke();
  void set_priorities(std::span<const int> priorities);
  void shut_down();

  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  double saturation() const { return saturation_.load(std::memory_order_relaxed); }
  json::Value state() const;
  void write(Page& page, std::string_view pool) const;

 private:
  struct Ticket;
  struct Removal;
  std::shared_ptr<Ticket> make_ticket(const Request& request, Executor executor, TimePoint now);
  std::expected<std::shared_ptr<Ticket>, Rejection> enter(const Request& request, Executor executor);
  std::optional<Rejection> give_up(Ticket& ticket);
  void give_back(std::int64_t tokens);
  // Under the lock.
  void let_through(std::int64_t tokens);
  Pool look(TimePoint now);
  // `seen`: the saturation with which nobody had room a moment ago.
  void dispatch(TimePoint now, std::optional<double> seen = std::nullopt);
  void queue_changed();
  void leave(Ticket& ticket, std::string_view outcome, std::string_view reason, TimePoint now);
  void settle(Ticket& ticket, std::optional<Rejection> rejection);
  void refused(const FlowMetrics::Flow& flow, const Rejection& rejection, bool was_queued, Duration waited,
               TimePoint now);

  const std::shared_ptr<const Plan> plan_;
  const Clock& clock_;
  const Look look_;
  mutable std::mutex mutex_;
  FlowQueue queue_;
  mutable FlowMetrics metrics_;  // and the next: forget and write down what is due whenever somebody looks
  mutable DropSummary drops_;
  const bool evicts_;
  Evictor evictor_;
  std::uint64_t next_running_ = 0;
  bool stopping_ = false;
  Ticket* watchman_ = nullptr;  // waits; null when nobody does
  std::atomic<int> pending_{0};
  std::atomic<std::int64_t> pending_tokens_{0};
  std::atomic<std::size_t> waiting_{0};
  std::atomic<double> saturation_{0};
};

}  // namespace llmd::picker
