// Asio as this project uses it: one executor type, errors as values. Heavy; only .cc files of async, net and
// process include it (everything else sees Task<T>).
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <tuple>

#include "async/task.h"

namespace llmd::async {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

// co_await op(kAwait) gives a tuple that starts with the error code; only cancellation throws.
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> kAwait{asio::use_awaitable_t<Executor>{}};

// Awaiting this in a cancelled task unwinds it: to be done after an operation that was aborted.
inline Task<void> unwind_if_cancelled() {
  co_return;
}

}  // namespace llmd::async
