// The deadline of one stream: a timer that is re-armed only when it fires too early or would fire too late.
// Private to net.
#pragma once

#include <functional>
#include <memory>

#include "async/asio.h"
#include "async/deadline.h"

namespace llmd::net {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<Tcp, Executor>;

class Watchdog : public std::enable_shared_from_this<Watchdog> {
 public:
  // `cancel` aborts the operations in flight; it is not called after disarm(). It is called again until they
  // have ended: a TLS operation is several of the socket's, and a cancellation between two of them meets
  // nothing.
  Watchdog(Executor executor, std::function<void()> cancel) : timer_(executor), cancel_(std::move(cancel)) {}

  void set(async::Deadline deadline, std::string_view waited_for);
  void begin();  // an operation starts to wait
  void end() { --in_flight_; }
  bool expired() const { return expired_; }
  // The stream is gone; handlers that hold this object find out by alive().
  void disarm();
  bool alive() const { return static_cast<bool>(cancel_); }

  Error missed() const { return deadline_exceeded("{}: the deadline passed", waited_for_); }

 private:
  void arm();
  void arm_for(TimePoint time);
  void fired();

  async::Timer timer_;
  std::function<void()> cancel_;
  async::Deadline deadline_ = async::Deadline::never();
  std::string_view waited_for_ = "peer";
  TimePoint armed_for_ = TimePoint::max();
  int in_flight_ = 0;
  bool expired_ = false;
};

}  // namespace llmd::net
