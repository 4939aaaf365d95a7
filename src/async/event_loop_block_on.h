// Included by event_loop.h.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

namespace llmd::async {

// Turns a task with a result into one without, so that the machinery below templates is compiled once.
template <typename T>
Task<void> store_result(Task<T> task, std::optional<T>& result) {
  result.emplace(co_await std::move(task));
}

template <typename T>
T EventLoop::block_on(Task<T> task) {
  if constexpr (std::is_void_v<T>) {
    run_until_done(std::move(task));
  } else {
    std::optional<T> result;
    run_until_done(store_result(std::move(task), result));
    return std::move(*result);
  }
}

}  // namespace llmd::async
