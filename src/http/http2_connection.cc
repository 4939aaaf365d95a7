#include "http/http2_connection.h"

#include <algorithm>

#include "base/log.h"

namespace llmd::http {
namespace {

using async::Deadline;

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kWriteBytes = 256 * 1024;
constexpr auto kFarewell = std::chrono::seconds(2);  // for the last words of a connection that ends

TimePoint now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Http2Connection::Http2Connection(std::unique_ptr<net::Stream> stream, Http2Session::Side side,
                                 const Http2Limits& limits, const Http2Timing& timing, Executor executor,
                                 Http2Session::Accept accept)
    : stream_(std::move(stream)),
      timing_(timing),
      session_(side, limits, std::move(accept)),
      writer_(executor),
      flushed_(executor),
      last_read_(now()),
      last_stream_(now()) {
  session_.set_flush([this] { flush(); });
}

Http2Connection::~Http2Connection() = default;

Task<void> Http2Connection::run(std::string already_read) {
  auto body = [this, &already_read](async::Scope& tasks) -> Task<void> {
    tasks_ = &tasks;
    auto movers = [this, &already_read](async::Scope& scope) -> Task<void> {
      scope.spawn("http2 writer", write_loop());
      scope.spawn("http2 keep-alive", watch());
      co_await read_loop(std::move(already_read));
    };
    co_await async::with_scope(writer_.executor(), movers);
    stream_->close();
    session_.lose();
    co_await tasks.join();
  };
  struct Losing {
    Http2Session& session;
    ~Losing() { session.lose(); }  // also when cancelled
  } losing{session_};
  co_await async::with_scope(writer_.executor(), body);
}

Task<void> Http2Connection::read_loop(std::string already_read) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kReadBytes);
  stream_->set_deadline(Deadline::never(), "peer");
  Result<void> understood = session_.feed(already_read);
  flush();
  while (understood && !session_.finished() && !broken_) {
    const auto size = co_await stream_->read_some({buffer.get(), kReadBytes});
    if (!size || *size == 0) {
      co_return;
    }
    last_read_ = now();
    understood = session_.feed({buffer.get(), *size});
    if (session_.streams() > 0) {
      last_stream_ = last_read_;
    }
    flush();
  }
  if (!understood) {
    log::debug("http2 connection ended", {{"reason", understood.error().message}});
  }
  const auto end = Deadline::after(kFarewell);
  stream_->set_deadline(end, "the peer reading our goodbye");
  while (writing_ && !broken_) {
    co_await flushed_.wait();
  }
  if (!broken_) {
    if (!said_goodbye_) {
      co_await stream_->shutdown();
    }
    co_await read_the_rest({buffer.get(), kReadBytes});
  }
}

// Closing a socket with unread bytes makes the kernel send a reset, which overtakes what we wrote last: the
// peer would lose the ends of its answers.
Task<void> Http2Connection::read_the_rest(std::span<char> buffer) {
  stream_->set_deadline(Deadline::after(kFarewell), "the peer closing the connection");
  while (true) {
    const auto size = co_await stream_->read_some(buffer);
    if (!size || *size == 0) {
      co_return;
    }
  }
}

// Woken in the middle of whoever has queued something, which saves a turn of the loop.
void Http2Connection::flush() {
  if (!writing_ && session_.wants_write()) {
    writing_ = true;
    writer_.resume_first_now();
  }
}

Task<void> Http2Connection::write_loop() {
  Http2Batch out;
  writing_ = true;
  while (true) {
    out.clear();
    if (!session_.collect(out, kWriteBytes)) {
      if (session_.finished()) {
        break;
      }
      writing_ = false;
      flushed_.resume_all();
      co_await writer_.wait();
      continue;
    }
    stream_->set_deadline(Deadline::after(timing_.write_timeout), "the peer reading what it asked for");
    const auto written = co_await stream_->write(out.pieces());
    stream_->set_deadline(Deadline::never(), "peer");
    if (!written) {
      broken_ = true;
      break;
    }
  }
  writing_ = false;
  flushed_.resume_all();
  if (broken_) {
    stream_->close();  // ends the reader, too
    co_return;
  }
  said_goodbye_ = true;
  co_await stream_->shutdown();
  stream_->set_deadline(Deadline::after(kFarewell), "the peer closing the connection");
}

// Finds peers that are gone without a word: the leases behind their streams must not wait for TCP to notice.
Task<void> Http2Connection::watch() {
  while (true) {
    const Duration pause = timing_.idle_timeout.count() > 0
                               ? std::min(timing_.ping_interval, timing_.idle_timeout)
                               : timing_.ping_interval;
    co_await async::sleep(pause);
    if (timing_.idle_timeout.count() > 0 && session_.streams() == 0 &&
        now() - std::max(last_stream_, last_read_) >= timing_.idle_timeout) {
      session_.refuse_new_streams();
      flush();
      continue;
    }
    if (now() - last_read_ < timing_.ping_interval) {
      continue;
    }
    session_.ping();
    flush();
    const TimePoint asked = now();
    co_await async::sleep(timing_.ping_timeout);
    if (last_read_ < asked) {
      stream_->close();
      co_return;
    }
  }
}

void Http2Connection::drain() {
  session_.announce_shutdown();
  flush();
}

}  // namespace llmd::http
