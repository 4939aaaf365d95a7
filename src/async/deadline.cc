#include "async/deadline.h"

#include <exception>

#include "async/asio.h"

namespace llmd::async {
namespace {

bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

// Two children of one waiting task. The first to end decides and cancels the other; the parent goes on when
// both have ended, because both may refer to its frame.
struct Race {
  asio::cancellation_signal work_signal;
  asio::cancellation_signal stop_signal;
  bool work_won = false;
  bool decided = false;
  int running = 0;
  std::exception_ptr failure;

  void cancel_both() {
    work_signal.emit(asio::cancellation_type::terminal);
    stop_signal.emit(asio::cancellation_type::terminal);
  }
};

template <typename Handler>
struct RaceParent {
  explicit RaceParent(Handler waiting) : handler(std::move(waiting)) {}
  Race race;
  Handler handler;

  void ended(bool is_work, std::exception_ptr failure) {
    if (failure && !is_cancellation(failure)) {
      race.failure = failure;
    }
    if (!race.decided) {
      race.decided = true;
      race.work_won = is_work && !failure;
      (is_work ? race.stop_signal : race.work_signal).emit(asio::cancellation_type::terminal);
    } else if (is_work && !failure) {
      race.work_won = true;  // it finished although it was asked to stop: its result counts
    }
    if (--race.running == 0) {
      auto resume = std::move(handler);
      resume(race.failure, race.work_won);
    }
  }
};

auto start_race(Executor executor, Task<void> stop, Task<void> work) {
  return [executor, stop = std::move(stop), work = std::move(work)](auto handler) mutable {
    using Handler = decltype(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto parent = std::make_shared<RaceParent<Handler>>(std::move(handler));
    parent->race.running = 2;
    if (slot.is_connected()) {
      slot.assign([parent](asio::cancellation_type) {
        parent->race.decided = true;
        parent->race.cancel_both();
      });
    }
    asio::co_spawn(
        executor, std::move(work),
        asio::bind_cancellation_slot(parent->race.work_signal.slot(), [parent](std::exception_ptr failure) {
          parent->ended(true, std::move(failure));
        }));
    asio::co_spawn(
        executor, std::move(stop),
        asio::bind_cancellation_slot(parent->race.stop_signal.slot(), [parent](std::exception_ptr failure) {
          parent->ended(false, std::move(failure));
        }));
  };
}

}  // namespace

Task<void> sleep(Duration duration) {
  return sleep_until(std::chrono::steady_clock::now() + duration);
}

Task<void> sleep_until(TimePoint time) {
  Timer timer(co_await asio::this_coro::executor, time);
  const auto outcome = co_await timer.async_wait(kAwait);
  if (std::get<0>(outcome)) {
    co_await unwind_if_cancelled();
  }
}

Task<bool> finishes_before(Task<void> stop, Task<void> work) {
  const Executor executor = co_await asio::this_coro::executor;
  auto race = start_race(executor, std::move(stop), std::move(work));
  asio::use_awaitable_t<Executor> token;
  const bool work_won =
      co_await asio::async_initiate<asio::use_awaitable_t<Executor>, void(std::exception_ptr, bool)>(
          std::move(race), token);
  if (!work_won) {
    co_await unwind_if_cancelled();
  }
  co_return work_won;
}

Task<bool> finishes_by(Deadline deadline, Task<void> task) {
  if (deadline.is_never()) {
    co_await std::move(task);
    co_return true;
  }
  co_return co_await finishes_before(sleep_until(deadline.time()), std::move(task));
}

Error missed_deadline(std::string_view waited_for, TimePoint started) {
  const auto waited = std::chrono::steady_clock::now() - started;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  return deadline_exceeded("{}: no answer within {} ms", waited_for, milliseconds);
}

}  // namespace llmd::async
