#include "process/signals.h"

#include <boost/asio/basic_signal_set.hpp>

#include "async/asio.h"

namespace llmd::process {

struct Signals::State {
  explicit State(Executor executor) : set(executor) {}
  boost::asio::basic_signal_set<Executor> set;
};

Signals::Signals(async::EventLoop& loop, std::initializer_list<int> numbers)
    : state_(std::make_unique<State>(loop.executor())) {
  for (const int number : numbers) {
    state_->set.add(number);
  }
}

Signals::~Signals() = default;

Task<int> Signals::wait() {
  while (true) {
    const auto outcome = co_await state_->set.async_wait(async::kAwait);
    if (!std::get<0>(outcome)) {
      co_return std::get<1>(outcome);
    }
    co_await async::unwind_if_cancelled();
  }
}

}  // namespace llmd::process
