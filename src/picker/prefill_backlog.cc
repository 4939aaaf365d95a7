#include "picker/prefill_backlog.h"

#include <algorithm>

namespace llmd::picker {
namespace {

constexpr double kForgetting = 0.99;  // per prompt

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

PrefillBacklog::Ticket PrefillBacklog::add(std::uint32_t endpoint, double tokens, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (queues_.size() <= endpoint) {
    queues_.resize(endpoint + 1);
  }
  Queue& queue = queues_[endpoint];
  if (queue.prompts.empty()) {
    queue.since = now;
    queue.follows = false;
    queue.tokens = 0;  // no rounding errors for ever
  }
  queue.prompts.push_back({++queue.last, tokens});
  queue.tokens += tokens;
  return {endpoint, queue.last};
}

void PrefillBacklog::read(Ticket ticket, TimePoint now) {
  const std::lock_guard lock(mutex_);
  Queue& queue = queues_[ticket.endpoint];
  if (!queue.prompts.empty() && queue.prompts.front().number == ticket.number) {
    learn_speed(queue, now);
  }
  // Numbers wrap around: the difference says which is older.
  const auto is_read = [ticket](std::uint32_t number) {
    return static_cast<std::int32_t>(number - ticket.number) <= 0;
  };
  while (!queue.prompts.empty() && is_read(queue.prompts.front().number)) {
    queue.tokens -= queue.prompts.front().tokens;
    queue.prompts.pop_front();
    queue.since = now;
    queue.follows = true;
  }
}

void PrefillBacklog::drop(Ticket ticket, TimePoint now) {
  const std::lock_guard lock(mutex_);
  Queue& queue = queues_[ticket.endpoint];
  const auto found = std::ranges::find(queue.prompts, ticket.number, &Prompt::number);
  if (found == queue.prompts.end()) {
    return;
  }
  if (found == queue.prompts.begin()) {
    queue.since = now;
    queue.follows = false;
  }
  queue.tokens -= found->tokens;
  queue.prompts.erase(found);
}

void PrefillBacklog::learn_speed(const Queue& queue, TimePoint now) {
  if (!queue.follows) {
    return;
  }
  seen_tokens_ = seen_tokens_ * kForgetting + queue.prompts.front().tokens;
  seen_seconds_ = seen_seconds_ * kForgetting + seconds(now - queue.since);
}

double PrefillBacklog::View::tokens(std::uint32_t endpoint) const {
  if (endpoint >= backlog_.queues_.size() || backlog_.queues_[endpoint].prompts.empty()) {
    return 0;
  }
  const Queue& queue = backlog_.queues_[endpoint];
  const double done = backlog_.seen_seconds_ > 0
                          ? seconds(now_ - queue.since) * backlog_.seen_tokens_ / backlog_.seen_seconds_
                          : 0;
  return std::max(0.0, queue.tokens - std::min(done, queue.prompts.front().tokens));
}

}  // namespace llmd::picker
