#include "gateway/grpc_relay.h"

#include <algorithm>

#include "gateway/filter_chain.h"
#include "gateway/held_body.h"
#include "gateway/picker_request.h"
#include "gateway/service_targets.h"
#include "gateway/whole_body.h"
#include "http/grpc_status.h"
#include "proxy/duplex.h"
#include "proxy/forwarding.h"

namespace llmd::gateway {
namespace {

proxy::RelayOptions relay_options(const GatewayOptions& options) {
  return {.connect = options.connect_timeout,
          .first_byte = options.first_byte_timeout,
          .idle = options.idle_timeout,
          .attempts = options.attempts};
}

}  // namespace

struct GrpcRelay::Call {
  const Backend& backend;
  const std::string& key;
  const picker::Picker& picker;
  std::string_view scheme;
  proxy::RelayRequest request;
};

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

  std::vector<std::shared_ptr<MirrorFeed>> feeds;
  for (const Mirror* mirror : chosen_mirrors({&rule, backend->filters.get()}, place.turn)) {
    auto feed =
        place.scope == nullptr ? nullptr : mirrors_.follow(*place.scope, routing, mirror->key, request.head);
    if (feed) {
      feeds.push_back(std::move(feed));
    }
  }
  MirroredBody mirrored(exchange, std::move(feeds));
  const Backend& chosen = routing->table.backends.find(backend->key)->second;
  Call call{.backend = chosen,
            .key = backend->key,
            .picker = *routing->pickers.find(backend->key)->second,
            .scheme = place.scheme,
            .request = std::move(request)};
  co_return co_await (chosen.external ? relay_elsewhere(visit, mirrored, std::move(call))
                                      : relay_here(visit, mirrored, std::move(call)));
}

Task<proxy::RelayOutcome> GrpcRelay::relay_here(Visit& visit, http::Exchange& exchange, Call call) {
  const http::Headers headers = call.request.head.headers;  // the request itself is given away
  openai::RequestScan nothing;
  picker::Request wanted = request_of(nothing, headers);
  wanted.id = visit.notes().request_id;
  wanted.path = exchange.request().path();
  wanted.priority = priority_of(wanted.objective, call.backend.priorities);
  ServiceTargets targets(shared_, changed_, call.picker, wanted, call.key);
  auto outcome = co_await proxy::relay_duplex(exchange, upstreams_.http2_of(call.backend.protocol),
                                              visit.trace().traced(targets), std::move(call.request),
                                              relay_options(shared_.options));
  targets.note(outcome, visit.answer());
  co_return outcome;
}

Task<proxy::RelayOutcome> GrpcRelay::relay_elsewhere(Visit& visit, http::Exchange& exchange, Call call) {
  const auto timeout = http::parse_grpc_timeout(exchange.request().headers.find("grpc-timeout").value_or(""));
  const auto deadline = async::Deadline::after(
      std::min(timeout.value_or(Duration::max()), Duration(shared_.options.picker_timeout)));
  HeldBody body(shared_.held_bytes, shared_.options.held_body_bytes);
  openai::RequestScan nothing;
  const auto held = co_await async::with_deadline(deadline, "the call's last message",
                                                  body.receive(exchange.body(), nothing, deadline));
  if (!held) {
    const Error error = Error(held.error()).within("a call that is picked for elsewhere");
    co_await proxy::answer_grpc_error(visit.answer(), error);
    co_return proxy::RelayOutcome{.status = 200, .error = error};
  }
  call.request.body = body.bytes();
  auto options = relay_options(shared_.options);
  options.total = timeout ? async::Deadline::after(*timeout) : options.total;
  const ExternallyPicked picked{*call.backend.external, call.backend.protocol, call.picker};
  auto outcome = co_await external_.relay_call(visit, picked, call.scheme, call.request, options);
  if (outcome) {
    co_return std::move(*outcome);
  }
  WholeBody whole(exchange, body.bytes());
  co_return co_await relay_here(visit, whole, std::move(call));
}

}  // namespace llmd::gateway
