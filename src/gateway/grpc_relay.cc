#include "gateway/grpc_relay.h"

#include "gateway/filter_chain.h"
#include "gateway/picker_request.h"
#include "gateway/service_targets.h"
#include "proxy/duplex.h"
#include "proxy/forwarding.h"

namespace llmd::gateway {

Task<proxy::RelayOutcome> GrpcRelay::relay(Visit& visit, std::shared_ptr<const Routing> routing,
                                           const Match& match, const BackendRef* backend, Place place) {
  Answer& exchange = visit.answer();
  const Rule& rule = *match.rule;
  const std::string problem = !rule.problem.empty() ? rule.problem
                              : backend == nullptr  ? "all backends have weight 0"
                                                    : backend->problem;
  if (!problem.empty()) {
    const Error error = unavailable("route {}: {}", rule.route, problem);
    co_await proxy::answer_grpc_error(exchange, error);
    co_return proxy::RelayOutcome{.status = 200, .error = error};
  }
  // Messages are not read: a key that may use some models only could use any.
  if (const auto forbidden = visit.use_model({}, false, 1)) {
    const Error error = permission_denied("{}", forbidden->message);
    co_await proxy::answer_grpc_error(exchange, error);
    co_return proxy::RelayOutcome{.status = 200, .error = error};
  }
  const http::RequestHead& arrived = exchange.request();
  proxy::RelayRequest request;
  request.head.method = arrived.method;
  request.head.target = arrived.target;
  request.head.headers = proxy::forwarded_request_headers(
      arrived.headers,
      {.client = exchange.peer(), .scheme = place.scheme, .request_id = visit.notes().request_id});
  visit.clean(request.head.headers, place.trusted);
  apply_to_request({&rule, backend->filters.get()}, match.path, request.head);
  request.edit_response = response_edits({&rule, backend->filters.get()}, arrived);

  const http::Headers headers = request.head.headers;  // the request itself is given away
  openai::RequestScan nothing;
  picker::Request wanted = request_of(nothing, headers);
  wanted.id = visit.notes().request_id;
  wanted.path = arrived.path();
  const Backend& chosen = routing->table.backends.find(backend->key)->second;
  wanted.priority = priority_of(wanted.objective, chosen.priorities);
  ServiceTargets targets(shared_, changed_, *routing->pickers.find(backend->key)->second, wanted,
                         backend->key);
  const GatewayOptions& options = shared_.options;
  const proxy::RelayOptions relaying{.connect = options.connect_timeout,
                                     .first_byte = options.first_byte_timeout,
                                     .idle = options.idle_timeout,
                                     .attempts = options.attempts};
  http::Http2Pool& pool = upstreams_.http2_of(chosen.protocol);
  auto outcome = co_await proxy::relay_duplex(exchange, pool, targets, std::move(request), relaying);
  targets.note(outcome, exchange);
  co_return outcome;
}

}  // namespace llmd::gateway
