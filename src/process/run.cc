#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "async/asio.h"
#include "async/scope.h"
#include "process/process.h"

namespace llmd::process {
namespace {

using Descriptor = boost::asio::posix::basic_stream_descriptor<Executor>;

constexpr auto kAfterEnd = std::chrono::seconds(1);  // for output that is still on its way

struct Pipe {
  FileDescriptor read_end;
  FileDescriptor write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return system_error(errno, "pipe");
  }
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// Past the limit the rest is read and dropped: the program must not block on a full pipe.
Task<void> collect(FileDescriptor fd, std::size_t limit, std::string& out) {
  Descriptor descriptor(co_await async::current_executor(), fd.release());
  std::vector<char> buffer(16 * 1024);
  while (true) {
    const auto outcome = co_await descriptor.async_read_some(boost::asio::buffer(buffer), async::kAwait);
    if (std::get<0>(outcome)) {
      co_return;
    }
    out.append(buffer.data(), std::min(std::get<1>(outcome), limit - out.size()));
  }
}

struct Running {
  std::unique_ptr<Process> process;
  Pipe out;
  Pipe err;
  ~Running() {
    if (process && process->running()) {
      static_cast<void>(process->signal_group(SIGKILL));  // cancelled or past the deadline
    }
  }
};

Task<Result<Output>> collect_all(Running& running, std::size_t limit) {
  Output output;
  const Executor executor = co_await async::current_executor();
  auto read_both = [&](async::Scope& scope) -> Task<void> {
    scope.spawn("standard output", collect(std::move(running.out.read_end), limit, output.out));
    scope.spawn("standard error", collect(std::move(running.err.read_end), limit, output.err));
    output.status = co_await running.process->wait();
    // Something it left running in the background may hold the pipes open for ever.
    co_await async::finishes_by(async::Deadline::after(kAfterEnd), scope.join());
  };
  co_await async::with_scope(executor, read_both);
  co_return output;
}

}  // namespace

Task<Result<Output>> run(async::EventLoop& loop, SpawnOptions options, async::Deadline deadline,
                         std::size_t limit) {
  Running running;
  LLMD_CO_TRY(running.out, make_pipe());
  LLMD_CO_TRY(running.err, make_pipe());
  options.stdout_fd = running.out.write_end.number();
  options.stderr_fd = running.err.write_end.number();
  options.new_session = true;
  LLMD_CO_TRY(running.process, Process::spawn(loop, options));
  running.out.write_end.reset();
  running.err.write_end.reset();
  co_return co_await async::with_deadline(deadline, options.arguments.front(), collect_all(running, limit));
}

}  // namespace llmd::process
