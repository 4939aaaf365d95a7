// One loop's share of the gateway: a server, a pool of upstream connections, and the handling of requests.
// Private to gateway.
#pragma once

#include <unordered_map>

#include "async/event.h"
#include "gateway/shared.h"
#include "http/client.h"
#include "http/server.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class Lane {
 public:
  Lane(async::EventLoop& loop, Shared& shared);

  Result<net::Address> listen(const net::Address& address) { return server_.listen(address); }
  Task<void> run() { co_await server_.run(); }
  Task<void> drain(async::Deadline deadline) { co_await server_.drain(deadline); }
  // New routes or endpoints are in: those who wait for one look again. On this loop.
  void routing_changed() { changed_.set(); }

 private:
  // Metric series of one route; looked up in the families once.
  struct Series {
    std::shared_ptr<metrics::Histogram> seconds;
    std::vector<std::pair<int, std::shared_ptr<metrics::Counter>>> by_status;
  };
  class ServiceTargets;

  Task<void> handle(http::Exchange& exchange);
  Task<proxy::RelayOutcome> handle_match(http::Exchange& exchange, const Routing& routing,
                                         const Match& match);
  Task<proxy::RelayOutcome> refuse(http::Exchange& exchange, Error error);
  Task<proxy::RelayOutcome> refuse(http::Exchange& exchange, int status, std::string message);
  Task<void> handle_own(http::Exchange& exchange, const Routing& routing);
  void count(const std::string& route, int status, Duration duration);

  Shared& shared_;
  http::ClientPool pool_;
  http::Server server_;
  async::Event changed_;
  std::unordered_map<std::string, Series> series_;
  unsigned turn_ = 0;  // spreads weights evenly
};

}  // namespace llmd::gateway
