// Included by worker.h.
#pragma once

#include <optional>
#include <utility>

#include "async/event.h"

namespace llmd::async {

template <typename Function>
auto Worker::run(Function function) -> Task<std::invoke_result_t<Function>> {
  using Answer = std::invoke_result_t<Function>;
  struct Call {
    Call(Function f, Executor executor) : work(std::move(f)), done(executor) {}
    Function work;
    std::optional<Answer> answer;
    Event done;
  };
  const Executor executor = co_await current_executor();
  const auto call = std::make_shared<Call>(std::move(function), executor);
  const bool queued = post([call, executor] {
    call->answer.emplace(call->work());
    // The last reference must go on the loop, because the Event lives there.
    post_to(executor, [call] { call->done.set(); });
  });
  if (!queued) {
    co_return resource_exhausted("the queue of worker '{}' is full", name());
  }
  co_await call->done.wait();
  co_return std::move(*call->answer);
}

}  // namespace llmd::async
