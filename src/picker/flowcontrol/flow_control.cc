#include "picker/flowcontrol/flow_control.h"

#include <utility>

#include "async/event.h"
#include "base/strings.h"

namespace llmd::picker {
namespace {

// Numbers also become stale by themselves; somebody who waits looks again this often.
constexpr Duration kLook = std::chrono::milliseconds(100);

double slo_ms(const Request& request) {
  for (const std::string_view name : {"x-llm-d-slo-ttft-ms", "x-slo-ttft-ms"}) {
    if (const auto text = request.headers.find(name)) {
      const auto number = parse_integer(*text);
      return number && *number >= 0 ? static_cast<double>(*number) : -1;
    }
  }
  return -1;
}

Rejection shutting_down() {
  return {503, "ServiceUnavailable", "flow controller shutting down: the picker stops", reason::kShuttingDown,
          1};
}

}  // namespace

// One waiting request: the queue's side, and what its task waits for on its own loop.
struct FlowControl::Ticket : FlowQueue::Waiting, std::enable_shared_from_this<Ticket> {
  explicit Ticket(Executor executor_) : executor(executor_), called(executor_) {}
  FlowMetrics::Flow labels() const { return {flow, band, model, target}; }

  const Executor executor;
  // Under flow control's lock; the task reads them after it was told.
  std::optional<Rejection> rejection;
  bool done = false;
  // On the task's loop.
  async::Event called;
  bool told = false;     // that it is done
  bool watches = false;  // it is the watchman
  bool claimed = false;  // the task knows; if it was let through, the room is its own

  // Any thread: wakes the task, which finds `flag` set.
  void call(bool Ticket::* flag) {
    async::post_to(executor, [weak = weak_from_this(), flag] {
      if (const auto alive = weak.lock()) {
        alive.get()->*flag = true;
        alive->called.set();
      }
    });
  }
};

// The task ends: whatever its request still has is given back.
struct FlowControl::Removal {
  FlowControl& owner;
  Ticket& ticket;
  ~Removal() {
    if (ticket.claimed) {
      return;
    }
    const std::lock_guard lock(owner.mutex_);
    const TimePoint now = owner.clock_.now();
    if (!ticket.done) {
      owner.leave(ticket, "EvictedContextCancelled", reason::kCancelled, now);
    } else if (!ticket.rejection) {
      // Dispatched, but nobody is left to use the room: the next one may.
      owner.give_back(ticket.tokens);
      owner.dispatch(now);
    }
  }
};

FlowControl::Admission& FlowControl::Admission::operator=(Admission&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(tokens_, other.tokens_);
  return *this;
}

FlowControl::Admission::~Admission() {
  if (owner_) {
    owner_->give_back(tokens_);
    owner_->poke();
  }
}

FlowControl::FlowControl(std::shared_ptr<const Plan> plan, int shed_status, const Clock& clock, Look look,
                         Has has)
    : plan_(std::move(plan)),
      clock_(clock),
      look_(std::move(look)),
      queue_(plan_->configuration.flow, *plan_, shed_status),
      evicts_(plan_->configuration.flow.eviction),
      evictor_(plan_->detector->settles_in(), std::move(has)) {}

void FlowControl::let_through(std::int64_t tokens) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  pending_tokens_.fetch_add(tokens, std::memory_order_relaxed);
}

void FlowControl::give_back(std::int64_t tokens) {
  pending_tokens_.fetch_sub(tokens, std::memory_order_relaxed);
  pending_.fetch_sub(1, std::memory_order_relaxed);
}

FlowControl::Pool FlowControl::look(TimePoint now) {
  const Pool pool =
      look_({pending_.load(std::memory_order_relaxed), pending_tokens_.load(std::memory_order_relaxed)});
  queue_.pool_changed(pool.empty, now);
  saturation_.store(pool.saturation, std::memory_order_relaxed);
  return pool;
}

void FlowControl::dispatch(TimePoint now, std::optional<double> seen) {
  const TimePoint began = std::chrono::steady_clock::now();
  Pool pool;
  while (queue_.size() > 0) {
    pool = look(now);
    const bool as_before = seen && pool.saturation >= *seen;
    seen.reset();
    if (as_before || !queue_.dispatch_one(pool.saturation, now)) {
      break;
    }
  }
  queue_.expire(now);
  if (const auto blocked = evicts_ && !pool.empty ? queue_.blocked() : std::nullopt) {
    evictor_.reclaim({blocked->priority, pool.saturation, blocked->ceiling, pool.in_flight}, now);
  }
  queue_.drop_unwanted_bands();
  queue_changed();
  drops_.look(now);
  metrics_.cycle(std::chrono::steady_clock::now() - began);
}

// Somebody came or went. Of those that wait now, one watches.
void FlowControl::queue_changed() {
  waiting_.store(queue_.size(), std::memory_order_relaxed);
  if (watchman_ == nullptr && queue_.size() > 0) {
    watchman_ = static_cast<Ticket*>(queue_.last());
    watchman_->call(&Ticket::watches);
  }
}

// A request that waits goes before it was served.
void FlowControl::leave(Ticket& ticket, std::string_view outcome, std::string_view reason, TimePoint now) {
  metrics_.finished(ticket.labels(), outcome, now - ticket.enqueued, now);
  drops_.dropped(ticket.band, reason, now);
  queue_.remove(ticket);
  ticket.done = true;
  watchman_ = watchman_ == &ticket ? nullptr : watchman_;
  queue_changed();
}

void FlowControl::settle(Ticket& ticket, std::optional<Rejection> rejection) {
  const TimePoint now = clock_.now();
  if (rejection) {
    refused(ticket.labels(), *rejection, true, now - ticket.enqueued, now);
  } else {
    let_through(ticket.tokens);
    metrics_.finished(ticket.labels(), "Dispatched", now - ticket.enqueued, now);
  }
  ticket.rejection = std::move(rejection);
  ticket.done = true;
  watchman_ = watchman_ == &ticket ? nullptr : watchman_;
  ticket.call(&Ticket::told);
}

void FlowControl::refused(const FlowMetrics::Flow& flow, const Rejection& rejection, bool was_queued,
                          Duration waited, TimePoint now) {
  metrics_.finished(flow, FlowMetrics::outcome_of(rejection, was_queued), waited, now);
  drops_.dropped(flow.priority, rejection.reason, now);
}

void FlowControl::poke() {
  // Whoever ends has changed the pool and then looks for those that wait; whoever waits is counted and then
  // looks at the pool (enter()): one of them sees the other.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (waiting() > 0) {
    const std::lock_guard lock(mutex_);
    dispatch(clock_.now());
  }
}

void FlowControl::add_running(Evictor::Running& running) {
  const std::lock_guard lock(mutex_);
  running.number = ++next_running_;
  evictor_.add(running);
}

void FlowControl::remove_running(Evictor::Running& running) {
  const std::lock_guard lock(mutex_);
  evictor_.remove(running, clock_.now());
}

void FlowControl::set_priorities(std::span<const int> priorities) {
  const std::lock_guard lock(mutex_);
  queue_.set_priorities(priorities);
  if (queue_.size() > 0) {
    dispatch(clock_.now());  // ceilings depend on the bands
  }
}

void FlowControl::shut_down() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  queue_.reject_all(shutting_down());
  queue_changed();
  drops_.flush();
}

void FlowControl::write(Page& page, std::string_view pool) const {
  FlowTotals totals;
  const TimePoint now = clock_.now();
  {
    const std::lock_guard lock(mutex_);
    totals = queue_.totals();
    drops_.look(now);
    if (evicts_) {
      evictor_.write(page, pool);
    }
  }
  totals.write(page, pool);
  metrics_.write(page, pool, now);
}

json::Value FlowControl::state() const {
  const std::lock_guard lock(mutex_);
  json::Value state = queue_.state();
  state.get_object()["saturation"] = saturation();
  state.get_object()["pending"] = pending_.load(std::memory_order_relaxed);
  return state;
}

std::shared_ptr<FlowControl::Ticket> FlowControl::make_ticket(const Request& request, Executor executor,
                                                              TimePoint now) {
  auto ticket = std::make_shared<Ticket>(executor);
  ticket->priority = request.priority;
  ticket->flow = request.fairness_id;
  ticket->model = request.model;
  ticket->target = request.target();
  ticket->received = now;
  ticket->slo_ttft_ms = slo_ms(request);
  ticket->bytes = static_cast<std::int64_t>(request.body_bytes);
  ticket->tokens = request.prompt_tokens();
  ticket->settle = [this, waiting = ticket.get()](std::optional<Rejection> rejection) {
    settle(*waiting, std::move(rejection));
  };
  return ticket;
}

// Null: it was let through at once, which is the usual case: nobody waits and there is room.
std::expected<std::shared_ptr<FlowControl::Ticket>, Rejection> FlowControl::enter(const Request& request,
                                                                                  Executor executor) {
  FlowMetrics::Flow flow{request.fairness_id, 0, request.model, request.target()};
  std::unique_lock lock(mutex_);
  const TimePoint now = clock_.now();
  drops_.look(now);
  flow.priority = queue_.band_key(request.priority);
  if (stopping_) {
    refused(flow, shutting_down(), false, Duration::zero(), now);
    return std::unexpected(shutting_down());
  }
  std::optional<double> seen;
  if (!queue_.must_wait(request.priority)) {
    const Pool pool = look(now);
    if (queue_.has_room(request.priority, pool.saturation)) {
      let_through(request.prompt_tokens());
      lock.unlock();
      metrics_.queued(flow, clock_.now() - now, now);
      metrics_.finished(flow, "Dispatched", Duration::zero(), now);
      return nullptr;
    }
    seen = pool.saturation;
  }
  auto ticket = make_ticket(request, executor, now);
  if (auto added = queue_.add(*ticket, now); !added) {
    refused(flow, added.error(), false, Duration::zero(), now);
    return std::unexpected(std::move(added).error());
  }
  queue_changed();
  std::atomic_thread_fence(std::memory_order_seq_cst);  // see poke()
  metrics_.queued(flow, clock_.now() - now, now);
  dispatch(now, seen);
  return ticket;
}

// The caller waits no longer. No value: it was settled a moment ago.
std::optional<Rejection> FlowControl::give_up(Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket.done) {
    return std::nullopt;
  }
  leave(ticket, "EvictedTTL", reason::kExpired, clock_.now());
  return Rejection{503, "ServiceUnavailable", "request timed out in queue: the caller's deadline passed",
                   reason::kExpired, 1};
}

Task<std::expected<FlowControl::Admission, Rejection>> FlowControl::admit(const Request& request,
                                                                          async::Deadline deadline) {
  const auto self = shared_from_this();
  auto entered = enter(request, co_await async::current_executor());
  if (!entered) {
    co_return std::unexpected(std::move(entered).error());
  }
  if (*entered == nullptr) {
    co_return Admission(self, request.prompt_tokens());
  }
  const std::shared_ptr<Ticket> ticket = std::move(*entered);
  const Removal removal{*this, *ticket};
  while (!ticket->told) {
    const bool called =
        co_await ticket->called.wait_until(ticket->watches ? deadline.or_after(kLook) : deadline);
    ticket->called.reset();
    if (!called && deadline.expired()) {
      if (auto rejection = give_up(*ticket)) {
        ticket->claimed = true;
        co_return std::unexpected(std::move(*rejection));
      }
      break;
    }
    if (!called) {
      poke();
    }
  }
  ticket->claimed = true;
  if (ticket->rejection) {
    co_return std::unexpected(*ticket->rejection);
  }
  co_return Admission(self, ticket->tokens);
}

}  // namespace llmd::picker
