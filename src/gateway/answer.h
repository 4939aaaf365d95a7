// Answer: the exchange as the rest of the gateway sees it. Passes everything on and notes on the way what the
// access log, metrics and limits want to know; adds X-Request-Id, and Retry-After to a 503.
//
// It can also begin a stream early: progress() sends SSE comments while a model starts. The answer that comes
// afterwards continues that stream; an error becomes its last event, because the status has been sent.
//
// One loop, one request.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/forwarding_exchange.h"
#include "picker/request.h"

namespace llmd::gateway {

class Answer final : public ForwardingExchange {
 public:
  Answer(http::Exchange& inner, std::string_view request_id)
      : ForwardingExchange(inner), request_id_(request_id), began_(std::chrono::steady_clock::now()) {}

  // ": text\n\n" to a client that waits for a stream. Errors: the client is gone.
  Task<Result<void>> progress(std::string_view text);

  int status() const { return status_; }
  std::size_t bytes() const { return bytes_; }
  std::int64_t events() const { return events_; }
  bool streamed() const { return stream_; }
  TimePoint began() const { return began_; }
  Duration first_byte() const { return first_byte_; }  // zero: none came
  picker::Usage usage() const;

  using http::Exchange::respond;
  Task<Result<void>> respond(http::ResponseHead head, std::string_view body) override;
  Task<Result<void>> start(http::ResponseHead head, std::string_view first) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish(std::string_view last) override;
  bool started() const override { return inner_.started() && (!in_progress_ || answered_); }

 private:
  void note_head(http::ResponseHead& head);
  void note(std::string_view bytes);
  Task<Result<void>> finish_with_event(std::string_view payload);

  std::string_view request_id_;
  TimePoint began_;
  Duration first_byte_{};
  int status_ = 0;
  std::size_t bytes_ = 0;
  std::int64_t events_ = 0;
  bool stream_ = false;  // server-sent events
  bool read_ = false;    // an answer that may tell its token counts
  char last_ = 0;
  std::string tail_;          // the end of the answer
  bool in_progress_ = false;  // the stream was begun by progress()
  bool answered_ = false;     // ... and the answer itself has begun
  bool other_shape_ = false;  // ... and is no stream: collected in tail_, sent as one event
};

}  // namespace llmd::gateway
