// Moves the bytes of one HTTP/2 connection: reads, writes in batches, asks with PING whether a silent peer is
// still there, ends what is idle or stuck. One loop. Private to http.
#pragma once

#include <memory>
#include <string>

#include "async/scope.h"
#include "async/waiter.h"
#include "http/http2_session.h"
#include "net/stream.h"

namespace llmd::http {

struct Http2Timing {
  Duration ping_interval = std::chrono::seconds(30);  // of silence, before asking
  Duration ping_timeout = std::chrono::seconds(10);   // for the answer
  Duration idle_timeout = std::chrono::seconds(120);  // without a stream; zero: never
  Duration write_timeout = std::chrono::seconds(60);  // a peer that reads nothing
};

class Http2Connection {
 public:
  Http2Connection(std::unique_ptr<net::Stream> stream, Http2Session::Side side, const Http2Limits& limits,
                  const Http2Timing& timing, Executor executor, Http2Session::Accept accept = {});
  ~Http2Connection();

  // Until the connection has ended; every stream has heard on_closed() then. `already_read` are the first
  // bytes of the peer.
  Task<void> run(std::string already_read = {});
  // The scope of run(): tasks of streams belong there. run() waits for them after the connection has ended.
  async::Scope& tasks() { return *tasks_; }

  Http2Session& session() { return session_; }
  net::Stream& stream() { return *stream_; }
  Executor executor() const { return writer_.executor(); }
  // No new streams; ends when those that run have ended.
  void drain();
  void close() { stream_->close(); }

 private:
  Task<void> read_loop(std::string already_read);
  Task<void> read_the_rest(std::span<char> buffer);
  Task<void> write_loop();
  Task<void> watch();
  void flush();

  std::unique_ptr<net::Stream> stream_;
  Http2Timing timing_;
  Http2Session session_;
  async::WaitList writer_;
  async::WaitList flushed_;
  async::Scope* tasks_ = nullptr;
  bool writing_ = false;
  bool broken_ = false;
  bool said_goodbye_ = false;  // our half is shut down
  TimePoint last_read_;
  TimePoint last_stream_;
};

}  // namespace llmd::http
