// The gateway: one address in front of all models. A request is matched against the route table, waits for an
// endpoint if none is ready yet, goes to the least loaded one and is relayed (proxy/relay.h says what happens
// when that fails). Answers of its own are in OpenAI's error shape; docs/reference/gateway-errors.md lists
// them. Own paths, where no route claims them: /healthz and /metrics.
//
// The loop given to the constructor serves; with `loops` > 1 as many minus one threads of their own serve the
// same address. Methods are called on the given loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "gateway/configuration.h"
#include "gateway/model_target.h"
#include "gateway/outliers.h"
#include "gateway/route_table.h"
#include "json/value.h"
#include "net/address.h"
#include "net/tls.h"
#include "trace/span.h"

namespace llmd::gateway {

class ModelDirectory;

struct GatewayOptions {
  int loops = 1;
  Duration connect_timeout = std::chrono::seconds(5);
  Duration first_byte_timeout = std::chrono::seconds(300);
  Duration idle_timeout = std::chrono::seconds(300);   // silence between two pieces of an answer
  Duration endpoint_wait = std::chrono::seconds(30);   // for a backend without a ready endpoint
  Duration picker_timeout = std::chrono::seconds(60);  // for an external picker's decision
  Duration total_timeout = Duration::zero();           // of requests whose route says nothing; zero: none
  int attempts = 3;                                    // endpoints tried before the first byte
  Duration hedge_after = Duration::zero();  // without a first byte, a second endpoint is asked; zero: never
  std::size_t max_body_bytes = 32 << 20;    // of one request; more is 413
  std::size_t held_body_bytes = std::size_t{1} << 30;  // of all requests together; more wait, then get 503
  std::size_t max_connections = 10000;                 // per loop
  OutlierOptions outliers = {};
  // API keys, unified API, access log. Its limits and timeouts are applied by apply_configuration().
  std::shared_ptr<const GatewayConfiguration> configuration = {};
  const trace::Tracer* tracer = nullptr;           // spans of requests; outlives the gateway; null: none
  std::shared_ptr<const net::TlsServer> tls = {};  // of the address given to listen(); null: plain HTTP

  // Opens the ports of the Gateways' listeners beside the address given to listen(), which takes the requests
  // of all of them.
  bool open_listeners = false;
  std::string listener_host = "127.0.0.1";
  // Ports to open instead of those that listeners name; 0 takes a free one.
  std::map<std::uint16_t, std::uint16_t> listener_ports = {};
};

// The options with limits, timeouts and retries of the configuration, which they keep.
GatewayOptions apply_configuration(GatewayOptions options, const GatewayConfiguration& configuration);

class Gateway {
 public:
  Gateway(async::EventLoop& loop, GatewayOptions options);
  ~Gateway();

  Result<net::Address> listen(const net::Address& address);
  // Requests that run keep the table they began with.
  void update(RouteTable table);
  // Who serves models, besides the backends of routes.
  void update_models(std::vector<ModelTarget> targets);
  // Serves until cancelled. After listen().
  Task<void> run();
  // No new connections; running exchanges may finish until the deadline.
  Task<void> drain(async::Deadline deadline);
  // Where the listeners of a Gateway's port are served; nullopt while they are not.
  std::optional<net::Address> listener_address(std::uint16_t port) const;

  // For the admin API.
  ModelDirectory& models();
  const GatewayConfiguration& configuration() const;
  std::string metrics_text() const;
  json::Array live_requests() const;
  // What the pickers remember of one request, or of the last `count`: an object by backend.
  json::Value explain(std::string_view request_id) const;
  json::Value explain_last(std::size_t count) const;
  // Data sources of pools whose files cannot be used now: objects with backend, problem and hint.
  json::Array source_problems() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
