// Hedging: a request whose answer is late is sent to a second endpoint as well; the one that begins to answer
// first goes on, the other is ended. It buys the latency of the slowest few with the work of two engines, so
// it is for those who ask for it.
//
// An answer has begun with its first bytes: an engine may send the head of a stream long before its first
// token. A 503 is no answer while the other one may still give one.
//
// One loop, one request; between its sends the client is an ordinary one.
#pragma once

#include "http/client.h"

namespace llmd::proxy {

// Who may serve the request beside the endpoint that is late.
class Rivals {
 public:
  virtual ~Rivals() = default;
  // Another endpoint, which has told `head` what it wants to; an error: there is none, or it shall not be.
  virtual Result<net::Address> rival(http::RequestHead& head) = 0;
  // The race is over: who serves the request, and whether the other one had failed by itself. Only after
  // rival() gave an address.
  virtual void settled(bool rival_serves, bool other_failed) = 0;
};

class HedgedClient final : public http::Client {
 public:
  // `head`: the request as no endpoint has changed it. References live as long as this and its responses.
  HedgedClient(http::Client& client, Rivals& rivals, http::RequestHead head, Duration after)
      : client_(client), rivals_(rivals), head_(std::move(head)), after_(after) {}

  Task<Result<std::unique_ptr<http::ClientResponse>>> send(http::ClientRequest request) override;

 private:
  http::Client& client_;
  Rivals& rivals_;
  http::RequestHead head_;
  Duration after_;
};

}  // namespace llmd::proxy
