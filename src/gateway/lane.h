// One loop's share of the gateway: a server, a pool of upstream connections, and the handling of requests.
// Private to gateway.
#pragma once

#include <unordered_map>

#include "async/event.h"
#include "async/scope.h"
#include "gateway/external_relay.h"
#include "gateway/grpc_relay.h"
#include "gateway/mirrors.h"
#include "gateway/shared.h"
#include "gateway/unified_api.h"
#include "http/client.h"
#include "http/server.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class Lane {
 public:
  Lane(async::EventLoop& loop, Shared& shared);

  Result<net::Address> listen(const net::Address& address);
  // One more address, for the listeners of a Gateway's port. Served at once when run() runs.
  Result<net::Address> open(std::uint16_t listener_port, const net::Address& address,
                            std::shared_ptr<const net::TlsServer> tls);
  // No new connections there; what runs ends by itself.
  void close(std::uint16_t listener_port);
  Task<void> run();
  Task<void> drain(async::Deadline deadline);
  // New routes or endpoints are in: those who wait for one look again. On this loop.
  void routing_changed() { changed_.set(); }

 private:
  // Metric series of one route; looked up in the families once.
  struct Series {
    std::shared_ptr<metrics::Histogram> seconds;
    std::vector<std::pair<int, std::shared_ptr<metrics::Counter>>> by_status;
  };
  // An address that is listened on, for the listeners of one port of the Gateways, or for all (0).
  struct Door {
    Door(Lane& lane, std::uint16_t port, std::shared_ptr<const net::TlsServer> tls);
    const std::uint16_t listener_port;
    const std::string_view scheme;
    net::Address address = {};  // once it listens
    http::Server server;
  };

  static Task<void> serve(std::shared_ptr<Door> door);
  static Task<void> drain_door(std::shared_ptr<Door> door);
  Task<void> handle(http::Exchange& arrived, const Door& door);
  Task<proxy::RelayOutcome> handle_match(Visit& visit, std::shared_ptr<const Routing> routing,
                                         const Match& match, const Door& door);
  // A request that has arrived whole and may go on.
  struct Job {
    const Rule& rule;
    const BackendRef& backend;
    const openai::RequestScan& scan;
    std::string_view model;
    async::Deadline total;
    const Door& door;
  };
  Task<proxy::RelayOutcome> relay_request(Visit& visit, const Routing& routing, Job job,
                                          proxy::RelayRequest request);
  Task<proxy::RelayOutcome> answer_here(http::Exchange& exchange, http::ResponseHead head);
  Task<proxy::RelayOutcome> refuse(http::Exchange& exchange, Error error);
  Task<proxy::RelayOutcome> refuse(http::Exchange& exchange, int status, std::string message);
  Task<void> handle_own(Visit& visit, const Routing& routing, const Door& door);
  void count(const std::string& route, int status, Duration duration);

  async::EventLoop& loop_;
  Shared& shared_;
  Upstreams upstreams_;
  async::Event changed_;
  Mirrors mirrors_;
  ExternalRelay external_;
  GrpcRelay grpc_;
  Door main_;
  std::vector<std::shared_ptr<Door>> doors_;
  async::Scope* scope_ = nullptr;  // of run(), while it runs
  UnifiedApi unified_;
  std::unordered_map<std::string, Series> series_;
  unsigned turn_ = 0;  // spreads weights evenly
};

}  // namespace llmd::gateway
