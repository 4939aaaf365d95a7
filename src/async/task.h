// Task<T>: a coroutine that runs on one EventLoop. Everything that waits for the outside world is a Task.
//
// Cancellation: a task belongs to a Scope (scope.h). When the scope is cancelled, the next co_await inside
// the task does not return: the coroutine unwinds, destructors run. Code therefore keeps its promises in
// destructors (leases, file descriptors, counters) and never catches to "clean up". The unwinding ends at the
// scope.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "base/result.h"

namespace llmd {

using Executor = boost::asio::io_context::executor_type;

template <typename T = void>
using Task = boost::asio::awaitable<T, Executor>;

}  // namespace llmd
