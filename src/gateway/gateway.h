// The gateway: one address in front of all models. A request is matched against the route table, waits for an
// endpoint if none is ready yet, goes to the least loaded one and is relayed (proxy/relay.h says what happens
// when that fails). Answers of its own are in OpenAI's error shape. Own paths, where no route claims them:
// /healthz and /metrics.
//
// The loop given to the constructor serves; with `loops` > 1 as many minus one threads of their own serve the
// same address. Methods are called on the given loop.
#pragma once

#include <memory>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "gateway/route_table.h"
#include "net/address.h"

namespace llmd::gateway {

struct GatewayOptions {
  int loops = 1;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration first_byte_timeout = std::chrono::seconds(300);
  Duration idle_timeout = std::chrono::seconds(300);   // silence between two pieces of an answer
  Duration endpoint_wait = std::chrono::seconds(30);   // for a backend without a ready endpoint
  int attempts = 3;                                    // endpoints tried before the first byte
  std::size_t max_body_bytes = 32 << 20;               // of one request; more is 413
  std::size_t held_body_bytes = std::size_t{1} << 30;  // of all requests together; more wait, then get 503
  std::size_t max_connections = 10000;                 // per loop
};

class Gateway {
 public:
  Gateway(async::EventLoop& loop, GatewayOptions options);
  ~Gateway();

  Result<net::Address> listen(const net::Address& address);
  // Requests that run keep the table they began with.
  void update(RouteTable table);
  // Serves until cancelled. After listen().
  Task<void> run();
  // No new connections; running exchanges may finish until the deadline.
  Task<void> drain(async::Deadline deadline);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
