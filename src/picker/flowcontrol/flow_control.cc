#include "picker/flowcontrol/flow_control.h"

#include "async/event.h"
#include "base/strings.h"

namespace llmd::picker {
namespace {

// Numbers also become stale by themselves; waiting requests look again this often.
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

// One waiting request: the queue's side, and the event its task waits for.
struct FlowControl::Ticket {
  explicit Ticket(Executor executor_) : executor(executor_), settled(executor_) {}
  FlowMetrics::Flow flow() const { return {item.flow, item.band, item.model, item.target}; }
  FlowQueue::Waiting item;
  Executor executor;
  async::Event settled;
  std::optional<Rejection> rejection;  // written before the event, under the lock
  bool done = false;
};

struct FlowControl::Removal {
  FlowControl& owner;
  const std::shared_ptr<Ticket>& ticket;
  ~Removal() {
    const std::lock_guard lock(owner.mutex_);
    if (ticket->item.queued) {
      const TimePoint now = owner.clock_.now();
      owner.metrics_.finished(ticket->flow(), "EvictedContextCancelled", now - ticket->item.enqueued, now);
      owner.drops_.dropped(ticket->item.band, reason::kCancelled, now);
      owner.queue_.remove(ticket->item);
      owner.waiting_.store(owner.queue_.size(), std::memory_order_relaxed);
    } else if (ticket->done && !ticket->rejection) {
      // Dispatched, but nobody is left to use the room.
      owner.pending_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
};

FlowControl::Admission& FlowControl::Admission::operator=(Admission&& other) noexcept {
  std::swap(owner_, other.owner_);
  return *this;
}

FlowControl::Admission::~Admission() {
  if (owner_) {
    owner_->pending_.fetch_sub(1, std::memory_order_relaxed);
  }
}

FlowControl::FlowControl(std::shared_ptr<const Plan> plan, int shed_status, const Clock& clock, Look look)
    : plan_(std::move(plan)),
      clock_(clock),
      look_(std::move(look)),
      queue_(plan_->configuration.flow, *plan_, shed_status),
      evicts_(plan_->configuration.flow.eviction),
      evictor_(plan_->detector->settles_in()) {}

void FlowControl::dispatch(TimePoint now) {
  const TimePoint began = std::chrono::steady_clock::now();
  Pool pool;
  while (queue_.size() > 0) {
    pool = look_(pending_.load(std::memory_order_relaxed));
    queue_.pool_changed(pool.empty, now);
    saturation_.store(pool.saturation, std::memory_order_relaxed);
    if (!queue_.dispatch_one(pool.saturation, now)) {
      break;
    }
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  queue_.expire(now);
  if (const auto blocked = evicts_ && !pool.empty ? queue_.blocked(pool.saturation) : std::nullopt) {
    evictor_.reclaim({blocked->priority, pool.saturation, blocked->ceiling, pool.in_flight}, now);
  }
  waiting_.store(queue_.size(), std::memory_order_relaxed);
  drops_.look(now);
  metrics_.cycle(std::chrono::steady_clock::now() - began);
}

void FlowControl::refused(const FlowMetrics::Flow& flow, const Rejection& rejection, bool was_queued,
                          Duration waited, TimePoint now) {
  metrics_.finished(flow, FlowMetrics::outcome_of(rejection, was_queued), waited, now);
  drops_.dropped(flow.priority, rejection.reason, now);
}

void FlowControl::poke() {
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
}

void FlowControl::shut_down() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  queue_.reject_all(shutting_down());
  waiting_.store(0, std::memory_order_relaxed);
  drops_.flush();
}

void FlowControl::write(Page& page, std::string_view pool) const {
  const std::lock_guard lock(mutex_);
  queue_.write(page, pool);
  const TimePoint now = clock_.now();
  metrics_.write(page, pool, now);
  drops_.look(now);
  if (evicts_) {
    evictor_.write(page, pool);
  }
}

json::Value FlowControl::state() const {
  const std::lock_guard lock(mutex_);
  json::Value state = queue_.state();
  state.get_object()["saturation"] = saturation();
  state.get_object()["pending"] = pending_.load(std::memory_order_relaxed);
  return state;
}

// The usual case: nobody waits and there is room. No value: wait.
std::optional<std::expected<void, Rejection>> FlowControl::try_at_once(int priority, TimePoint now) {
  if (stopping_) {
    return std::unexpected(shutting_down());
  }
  if (queue_.must_wait(priority)) {
    return std::nullopt;
  }
  const Pool pool = look_(pending_.load(std::memory_order_relaxed));
  queue_.pool_changed(pool.empty, now);
  saturation_.store(pool.saturation, std::memory_order_relaxed);
  if (!queue_.has_room(priority, pool.saturation)) {
    return std::nullopt;
  }
  pending_.fetch_add(1, std::memory_order_relaxed);
  return std::expected<void, Rejection>();
}

std::shared_ptr<FlowControl::Ticket> FlowControl::make_ticket(const Request& request, Executor executor,
                                                              TimePoint now) {
  auto ticket = std::make_shared<Ticket>(executor);
  FlowQueue::Waiting& item = ticket->item;
  item.priority = request.priority;
  item.flow = request.fairness_id;
  item.model = request.model;
  item.target = request.target();
  item.received = now;
  item.slo_ttft_ms = slo_ms(request);
  item.bytes = static_cast<std::int64_t>(request.body_bytes);
  item.settle = [this, waiting = ticket.get(),
                 weak = std::weak_ptr(ticket)](std::optional<Rejection> rejection) {
    const TimePoint settled = clock_.now();
    const Duration waited = settled - waiting->item.enqueued;
    if (rejection) {
      refused(waiting->flow(), *rejection, true, waited, settled);
    } else {
      metrics_.finished(waiting->flow(), "Dispatched", waited, settled);
    }
    waiting->rejection = std::move(rejection);
    waiting->done = true;
    async::post_to(waiting->executor, [weak] {
      if (const auto alive = weak.lock()) {
        alive->settled.set();
      }
    });
  };
  return ticket;
}

Task<std::expected<FlowControl::Admission, Rejection>> FlowControl::admit(const Request& request,
                                                                          async::Deadline deadline) {
  const auto self = shared_from_this();
  std::shared_ptr<Ticket> ticket;
  const Executor executor = co_await async::current_executor();
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.now();
    drops_.look(now);
    const FlowMetrics::Flow flow{request.fairness_id, queue_.band_key(request.priority), request.model,
                                 request.target()};
    if (const auto at_once = try_at_once(request.priority, now)) {
      if (!*at_once) {
        refused(flow, at_once->error(), false, Duration::zero(), now);
        co_return std::unexpected(at_once->error());
      }
      metrics_.queued(flow, clock_.now() - now, now);
      metrics_.finished(flow, "Dispatched", Duration::zero(), now);
      co_return Admission(self);
    }
    ticket = make_ticket(request, executor, now);
    if (auto added = queue_.add(ticket->item, now); !added) {
      refused(flow, added.error(), false, Duration::zero(), now);
      co_return std::unexpected(std::move(added).error());
    }
    waiting_.store(queue_.size(), std::memory_order_relaxed);
    metrics_.queued(flow, clock_.now() - now, now);
    dispatch(now);
  }
  const Removal removal{*this, ticket};
  while (!ticket->settled.is_set()) {
    const bool woken = co_await ticket->settled.wait_until(deadline.or_after(kLook));
    if (!woken) {
      if (deadline.expired()) {
        co_return std::unexpected(Rejection{503, "ServiceUnavailable",
                                            "request timed out in queue: the caller's deadline passed",
                                            reason::kExpired, 1});
      }
      poke();
    }
  }
  if (ticket->rejection) {
    co_return std::unexpected(*ticket->rejection);
  }
  pending_.fetch_add(1, std::memory_order_relaxed);  // the removal gives the ticket's own back
  co_return Admission(self);
}

}  // namespace llmd::picker
