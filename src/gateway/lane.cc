#include "gateway/lane.h"

#include <cmath>

#include "base/log.h"
#include "base/strings.h"
#include "gateway/control_headers.h"
#include "gateway/filter_chain.h"
#include "gateway/held_body.h"
#include "gateway/picker_request.h"
#include "gateway/service_targets.h"
#include "openai/error_body.h"
#include "picker/plan.h"
#include "proxy/forwarding.h"
#include "proxy/tunnel.h"

namespace llmd::gateway {
namespace {

http::ServerOptions server_options(const GatewayOptions& options, std::shared_ptr<const net::TlsServer> tls) {
  http::ServerOptions server;
  server.tls = std::move(tls);
  server.reuse_port = options.loops > 1;
  server.max_body_bytes = options.max_body_bytes;
  server.max_connections = options.max_connections;
  server.server_header = "";  // the upstream's, if it has one
  server.error_content_type = "application/json";
  server.error_body = [](int status, std::string_view message) {
    return openai::error_body(status, message);
  };
  return server;
}

// Multiples of the golden ratio fall evenly into the intervals of the weights, without bursts.
const BackendRef* choose_backend(const Rule& rule, unsigned turn) {
  int total = 0;
  for (const BackendRef& backend : rule.backends) {
    total += backend.weight;
  }
  if (total <= 0) {
    return nullptr;
  }
  if (rule.backends.size() == 1) {
    return &rule.backends.front();
  }
  const double fraction = turn * 0.6180339887498949;
  int left = static_cast<int>((fraction - std::floor(fraction)) * total);
  for (const BackendRef& backend : rule.backends) {
    left -= backend.weight;
    if (left < 0) {
      return &backend;
    }
  }
  return &rule.backends.back();
}

// Of many routes only those that were probably meant.
std::string known_routes(const RouteTable& table, std::string_view path) {
  constexpr std::size_t kMost = 5;
  const std::size_t all = table.size();
  if (all == 0) {
    return "there are no routes yet";
  }
  const std::string text = join(table.nearest(path, kMost), ", ");
  return all > kMost ? fmt::format("the nearest of {} known routes: {}", all, text) : "known routes: " + text;
}

}  // namespace

Lane::Door::Door(Lane& lane, std::uint16_t port, std::shared_ptr<const net::TlsServer> tls)
    : listener_port(port),
      scheme(tls ? "https" : "http"),
      server(lane.loop_, server_options(lane.shared_.options, std::move(tls)),
             [&lane, this](http::Exchange& exchange) { return lane.handle(exchange, *this); }) {}

Lane::Lane(async::EventLoop& loop, Shared& shared)
    : loop_(loop),
      shared_(shared),
      upstreams_(loop),
      changed_(loop.executor()),
      mirrors_(shared, upstreams_, loop.executor()),
      external_(shared, upstreams_, loop.executor()),
      grpc_(shared, upstreams_, external_, mirrors_, changed_),
      main_(*this, 0, shared.options.tls),
      unified_(shared, upstreams_, external_, changed_) {}

Result<net::Address> Lane::listen(const net::Address& address) {
  LLMD_TRY(main_.address, main_.server.listen(address));
  return main_.address;
}

Result<net::Address> Lane::open(std::uint16_t listener_port, const net::Address& address,
                                std::shared_ptr<const net::TlsServer> tls) {
  auto door = std::make_shared<Door>(*this, listener_port, std::move(tls));
  LLMD_TRY(auto bound, door->server.listen(address));
  door->address = bound;
  doors_.push_back(std::move(door));
  if (scope_ != nullptr) {
    scope_->spawn("listener", serve(doors_.back()));
  }
  return bound;
}

Task<void> Lane::serve(std::shared_ptr<Door> door) {
  co_await door->server.run();
}

Task<void> Lane::drain_door(std::shared_ptr<Door> door) {
  co_await door->server.drain(async::Deadline::never());
}

void Lane::close(std::uint16_t listener_port) {
  const auto found =
      std::ranges::find(doors_, listener_port, [](const auto& door) { return door->listener_port; });
  if (found == doors_.end()) {
    return;
  }
  const auto door = *found;
  doors_.erase(found);
  if (scope_ != nullptr) {
    scope_->spawn("closing listener", drain_door(door));
  }
}

Task<void> Lane::run() {
  co_await async::with_scope(loop_.executor(), [this](async::Scope& scope) -> Task<void> {
    struct Running {
      Lane& lane;
      ~Running() {
        lane.external_.links().close();
        lane.upstreams_.close();
        lane.scope_ = nullptr;
      }
    } running{*this};
    scope_ = &scope;
    external_.links().open(scope);
    upstreams_.open(scope);
    for (const auto& door : doors_) {
      scope.spawn("listener", serve(door));
    }
    co_await main_.server.run();
  });
}

Task<void> Lane::drain(async::Deadline deadline) {
  for (const auto& door : doors_) {
    co_await door->server.drain(deadline);
  }
  co_await main_.server.drain(deadline);
}

Task<void> Lane::handle(http::Exchange& arrived, const Door& door) {
  const TimePoint started = std::chrono::steady_clock::now();
  Visit visit(shared_.traffic, arrived);
  Answer& exchange = visit.answer();
  const bool admitted = arrived.request().path() == "/healthz" || co_await visit.admit();
  if (!admitted) {
    co_return;
  }
  const auto routing = shared_.routing.load();  // kept until the answer is complete
  const Match* match = routing->table.find(exchange.request(), door.listener_port);
  if (match == nullptr) {
    co_await handle_own(visit, *routing, door);
    co_return;
  }
  visit.notes().route = match->rule->route;
  const auto outcome = co_await handle_match(visit, routing, *match, door);
  visit.note_outcome(outcome);
  count(match->rule->route, outcome.status, std::chrono::steady_clock::now() - started);
  if (outcome.error && outcome.error->kind != ErrorKind::Cancelled) {
    log::warning("request failed", {{"route", match->rule->route},
                                    {"target", exchange.request().target},
                                    {"status", outcome.status},
                                    {"attempts", outcome.attempts},
                                    {"error", outcome.error->text()}});
  }
}

Task<proxy::RelayOutcome> Lane::handle_match(Visit& visit, std::shared_ptr<const Routing> routing,
                                             const Match& match, const Door& door) {
  Answer& exchange = visit.answer();
  const Rule& rule = *match.rule;
  const unsigned turn = turn_++;
  const BackendRef* backend = choose_backend(rule, turn);
  if (rule.grpc) {
    const GrpcRelay::Place place{door.scheme, shared_.traffic.trusts_listener(door.address), turn, scope_};
    co_return co_await grpc_.relay(visit, routing, match, backend, place);
  }
  if (!rule.problem.empty()) {
    co_return co_await refuse(exchange, 500, fmt::format("route {}: {}", rule.route, rule.problem));
  }
  if (auto answer = answer_of(rule, exchange.request(), match.path, door.scheme, door.listener_port)) {
    co_return co_await answer_here(exchange, std::move(*answer));
  }
  if (backend == nullptr || backend->key.empty()) {
    const std::string problem = backend == nullptr ? "all backends have weight 0" : backend->problem;
    co_return co_await refuse(exchange, 500, fmt::format("route {}: {}", rule.route, problem));
  }
  const GatewayOptions& options = shared_.options;
  const auto total = shared_.end_of(exchange.began(), rule.request_timeout);

  openai::RequestScan scan;
  HeldBody body(shared_.held_bytes, options.held_body_bytes);
  auto received = co_await body.receive(exchange.body(), scan, total.or_after(options.endpoint_wait));
  if (!received) {
    // A body that is malformed, too large or late is answered by the server, which knows the status.
    const bool ours = received.error().kind == ErrorKind::Unavailable;
    co_return ours ? co_await refuse(exchange, std::move(received).error())
                   : proxy::RelayOutcome{.status = 400, .error = std::move(received).error()};
  }

  scan.finish();
  const std::string_view model = scan.model() ? std::string_view(*scan.model()) : std::string_view();
  visit.notes().model_known = shared_.directory->catalog()->knows(model);
  if (auto forbidden = visit.use_model(model, scan.stream(), body.bytes().size())) {
    co_await visit.refuse(*forbidden, "model_not_allowed");
    co_return proxy::RelayOutcome{.status = forbidden->status};
  }
  proxy::RelayRequest request;
  const http::RequestHead& arrived = exchange.request();
  request.head.method = arrived.method;
  request.head.target = arrived.target;
  request.head.headers = proxy::forwarded_request_headers(
      arrived.headers,
      {.client = exchange.peer(), .scheme = door.scheme, .request_id = visit.notes().request_id});
  visit.clean(request.head.headers, shared_.traffic.trusts_listener(door.address));
  apply_to_request({&rule, backend->filters.get()}, match.path, request.head);
  request.body = body.bytes();
  request.edit_response = response_edits({&rule, backend->filters.get()}, arrived);
  for (const Mirror* mirror : chosen_mirrors({&rule, backend->filters.get()}, turn)) {
    if (scope_ != nullptr) {
      mirrors_.send(*scope_, routing, mirror->key, request.head, request.body);
    }
  }

  const Job job{rule, *backend, scan, model, total, door};
  co_return co_await relay_request(visit, *routing, job, std::move(request));
}

Task<proxy::RelayOutcome> Lane::relay_request(Visit& visit, const Routing& routing, Job job,
                                              proxy::RelayRequest request) {
  Answer& exchange = visit.answer();
  const GatewayOptions& options = shared_.options;
  proxy::RelayOptions relaying{.connect = options.connect_timeout,
                               .first_byte = options.first_byte_timeout,
                               .idle = options.idle_timeout,
                               .total = job.total,
                               .attempt = job.rule.attempt_timeout,
                               .attempts = options.attempts};
  const std::string& key = job.backend.key;
  const Backend& chosen = routing.table.backends.find(key)->second;
  http::Headers trailers;
  if (const http::Headers* arrived_behind = exchange.body().trailers()) {
    trailers = proxy::forwarded_trailers(*arrived_behind);
    strip_control_headers(trailers, false);
    request.trailers = trailers.size() > 0 ? &trailers : nullptr;
  }
  if (chosen.external) {
    const ExternallyPicked picked{*chosen.external, chosen.protocol, *routing.pickers.find(key)->second};
    auto outcome = co_await external_.relay(visit, picked, job.door.scheme, request, relaying);
    if (outcome) {
      co_return std::move(*outcome);
    }
  }
  const http::Headers stripped = request.head.headers;  // the request itself is given away
  const picker::Picker& picker = *routing.pickers.find(key)->second;
  const auto media = media_of(job.scan, request.body, stripped, picker.plan().media);
  picker::Request wanted = request_of(job.scan, stripped, media);
  wanted.model = job.model;
  wanted.id = visit.notes().request_id;
  wanted.path = exchange.request().path();
  wanted.body_bytes = request.body.size();
  wanted.priority = priority_of(wanted.objective, chosen.priorities);
  ServiceTargets targets(shared_, changed_, picker, wanted, key);
  targets.end_by(job.total);
  const bool is_tunnel = proxy::asks_for_upgrade(exchange.request()) && !chosen.protocol.http2;
  if (!is_tunnel) {
    relaying.revocation = &targets.be_evictable(loop_.executor());
  }
  http::Client& upstream = upstreams_.of(chosen.protocol);
  std::optional<proxy::HedgedClient> hedged;
  if (options.hedge_after > Duration::zero()) {
    hedged.emplace(upstream, targets, request.head, options.hedge_after);
  }
  http::Client& client = hedged ? static_cast<http::Client&>(*hedged) : upstream;
  auto relayed =
      is_tunnel ? proxy::tunnel(exchange, upstreams_.http1_of(chosen.protocol), visit.trace().traced(targets),
                                std::move(request), relaying)
                : proxy::relay(exchange, client, visit.trace().traced(targets), std::move(request), relaying);
  auto outcome = co_await std::move(relayed);
  targets.note(outcome, exchange);
  co_return outcome;
}

Task<proxy::RelayOutcome> Lane::answer_here(http::Exchange& exchange, http::ResponseHead head) {
  const int status = head.status;
  co_await exchange.respond(std::move(head), {});
  co_return proxy::RelayOutcome{.status = status, .complete = true, .error = std::nullopt};
}

Task<proxy::RelayOutcome> Lane::refuse(http::Exchange& exchange, Error error) {
  co_await proxy::answer_error(exchange, error);
  const int status = http_status(error.kind);
  co_return proxy::RelayOutcome{.status = status, .error = std::move(error)};
}

Task<proxy::RelayOutcome> Lane::refuse(http::Exchange& exchange, int status, std::string message) {
  const std::string body = openai::error_body(status, message);
  co_await exchange.respond(status, "application/json", body);
  co_return proxy::RelayOutcome{.status = status, .error = internal_error("{}", message)};
}

Task<void> Lane::handle_own(Visit& visit, const Routing& routing, const Door& door) {
  Answer& exchange = visit.answer();
  const std::string_view path = exchange.request().path();
  if (path == "/healthz") {
    co_await exchange.respond(200, "text/plain", "ok\n");
    co_return;
  }
  if (path == "/metrics") {
    const std::string text = shared_.registry.write_text() + shared_.traffic.metrics.write_text();
    co_await exchange.respond(200, metrics::kTextContentType, text);
    co_return;
  }
  if (shared_.traffic.configuration.unified.enabled) {
    const bool trusted = shared_.traffic.trusts_listener(door.address);
    const bool handled = co_await unified_.handle(visit, trusted, door.scheme);
    if (handled) {
      count("unified", exchange.status(), std::chrono::steady_clock::now() - exchange.began());
      co_return;
    }
  }
  const std::size_t models = shared_.directory->catalog()->mappings.size();
  const std::string by_model =
      models == 0 ? std::string()
                  : "; requests with a `model` in their body go to who serves it (GET /v1/models)";
  const std::string message = fmt::format("no route matches {} {}; {}{}", exchange.request().method, path,
                                          known_routes(routing.table, path), by_model);
  const std::string body = openai::error_body(404, message);
  co_await exchange.respond(404, "application/json", body);
  count("", 404, Duration::zero());
}

void Lane::count(const std::string& route, int status, Duration duration) {
  Series& series = series_[route];
  if (!series.seconds) {
    series.seconds = shared_.metrics.seconds.with({route});
  }
  auto known =
      std::ranges::find(series.by_status, status, &std::pair<int, std::shared_ptr<metrics::Counter>>::first);
  if (known == series.by_status.end()) {
    const std::string code = std::to_string(status);
    known = series.by_status.insert(known, {status, shared_.metrics.requests.with({route, code})});
  }
  known->second->add();
  series.seconds->observe(std::chrono::duration<double>(duration).count());
}

}  // namespace llmd::gateway
