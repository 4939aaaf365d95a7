// Relay of one exchange to one upstream of several: the body goes out, the answer comes back while it is
// made. Bytes of the answer are not understood, only whether they are server-sent events.
//
// What can go wrong, and what the client sees (openai::error_body):
//   before the first byte of the answer went to the client: the next target is tried, up to `attempts`; then
//   one typed
//     error: 503 refused, reset or closed; 502 an answer that is no HTTP; 504 a deadline: connect, first
//     byte, idle, attempt or total, by name.
//   after it: server-sent events end with `data: {"error":...}` and `data: [DONE]`; anything else is cut off.
//   the client leaves: the upstream connection is closed at once.
//   somebody else wants the room (Revocation): as if the upstream had failed with that error, and no other is
//     tried.
// The answer's head is held back until the first event, so that an upstream that dies in between is still
// replaced. Pieces go on as they come; only a stream of more than 2,000 of them a second waits, at most 4 ms,
// so that several travel together.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.h"
#include "http/server.h"

namespace llmd::proxy {

// Lets somebody else end a relay. On the relay's loop; outlives it.
class Revocation {
 public:
  // Once; later ones are ignored.
  void revoke(Error reason) {
    if (!reason_) {
      reason_ = std::move(reason);
      if (stop_) {
        stop_();
      }
    }
  }
  const std::optional<Error>& reason() const { return reason_; }
  void attach(std::function<void()> stop) { stop_ = std::move(stop); }  // by the relay

 private:
  std::optional<Error> reason_;
  std::function<void()> stop_;
};

struct RelayOptions {
  Duration connect = std::chrono::seconds(5);
  Duration first_byte = std::chrono::seconds(300);
  Duration idle = std::chrono::seconds(300);  // silence between two pieces of the answer
  async::Deadline total = async::Deadline::never();
  std::optional<Duration> attempt = {};  // of each try, from the connection to the last byte
  int attempts = 3;
  Revocation* revocation = nullptr;  // null: nobody ends it
};

// Who may serve the request, in the order of preference. Implemented by those who choose.
class Targets {
 public:
  virtual ~Targets() = default;
  // The next one to try; each call after the first says that the one before has failed.
  virtual Task<Result<net::Address>> next() = 0;
  // What the request tells this target alone: headers.
  virtual void prepare(http::RequestHead&) {}
  // The target answers; the head is on its way to the client and may be changed.
  virtual void answered(http::ResponseHead&) {}
  // The first bytes of its answer's body are there.
  virtual void first_byte() {}
};

struct RelayRequest {
  http::RequestHead head;                   // as the upstream shall see it
  std::string_view body;                    // whole, so that it can be sent again; must outlive the call
  const http::Headers* trailers = nullptr;  // after the body; null: none; must outlive the call
  std::function<void(http::ResponseHead&)> edit_response;  // may be empty
};

struct RelayOutcome {
  int status = 0;  // what the client saw; 499: it left
  int attempts = 0;
  bool complete = false;       // the whole answer was delivered
  std::optional<Error> error;  // why not
};

Task<RelayOutcome> relay(http::Exchange& exchange, http::Client& client, Targets& targets,
                         RelayRequest request, RelayOptions options);

// Answers with a typed error, unless the answer has begun.
Task<void> answer_error(http::Exchange& exchange, const Error& error);

}  // namespace llmd::proxy
