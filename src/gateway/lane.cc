#include "gateway/lane.h"

#include <cmath>

#include "base/log.h"
#include "base/strings.h"
#include "gateway/held_body.h"
#include "openai/error_body.h"
#include "proxy/forwarding.h"

namespace llmd::gateway {
namespace {

http::ServerOptions server_options(const GatewayOptions& options) {
  http::ServerOptions server;
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

std::string known_routes(const RouteTable& table) {
  constexpr std::size_t kMost = 20;
  auto lines = table.describe();
  const std::size_t all = lines.size();
  if (all == 0) {
    return "there are no routes yet";
  }
  lines.resize(std::min(all, kMost));
  std::string text = "known routes: " + join(lines, ", ");
  return all > kMost ? text + fmt::format(" and {} more", all - kMost) : text;
}

}  // namespace

// The endpoints of one backend, the least loaded first. Holds the lease of the one in use.
class Lane::ServiceTargets final : public proxy::Targets {
 public:
  ServiceTargets(Lane& lane, const picker::Picker& picker, picker::Request request, std::string_view backend)
      : lane_(lane),
        picker_(picker),
        request_(request),
        backend_(backend),
        deadline_(async::Deadline::after(lane.shared_.options.endpoint_wait)) {}

  Task<Result<net::Address>> next() override {
    if (decision_.lease) {
      lane_.shared_.metrics.retries.add();
      tried_.push_back(decision_.lease.endpoint());
      decision_.lease.release();
    }
    while (true) {
      auto decided = picker_.pick(request_, tried_);
      if (decided) {
        decision_ = std::move(*decided);
        co_return decision_.endpoint().address;
      }
      if (!tried_.empty()) {
        co_return std::unexpected(decided.error().error().within(backend_));
      }
      // Nobody is ready: the backend is starting, scaled to zero or gone. Somebody may come.
      lane_.changed_.reset();
      const bool changed = co_await lane_.changed_.wait_until(deadline_);
      if (!changed) {
        co_return unavailable(
            "{}: no endpoint became ready within {} s", backend_,
            std::chrono::duration_cast<std::chrono::seconds>(lane_.shared_.options.endpoint_wait).count())
            .hint("the model may still be loading; see the pods of its service");
      }
    }
  }
  std::string explanation() const { return decision_.lease ? decision_.explanation() : "no endpoint"; }

 private:
  Lane& lane_;
  const picker::Picker& picker_;
  picker::Request request_;
  std::string_view backend_;
  async::Deadline deadline_;
  picker::Decision decision_;
  std::vector<picker::EndpointPtr> tried_;
};

Lane::Lane(async::EventLoop& loop, Shared& shared)
    : shared_(shared),
      pool_(loop, {.max_idle_per_address = 256}),
      server_(loop, server_options(shared.options),
              [this](http::Exchange& exchange) { return handle(exchange); }),
      changed_(loop.executor()) {}

Task<void> Lane::handle(http::Exchange& exchange) {
  const TimePoint started = std::chrono::steady_clock::now();
  const auto routing = shared_.routing.load();  // kept until the answer is complete
  const Match* match = routing->table.find(exchange.request());
  if (match == nullptr) {
    co_await handle_own(exchange, *routing);
    co_return;
  }
  const auto outcome = co_await handle_match(exchange, *routing, *match);
  count(match->rule->route, outcome.status, std::chrono::steady_clock::now() - started);
  if (outcome.error && outcome.error->kind != ErrorKind::Cancelled) {
    log::warning("request failed", {{"route", match->rule->route},
                                    {"target", exchange.request().target},
                                    {"status", outcome.status},
                                    {"attempts", outcome.attempts},
                                    {"error", outcome.error->text()}});
  }
}

Task<proxy::RelayOutcome> Lane::handle_match(http::Exchange& exchange, const Routing& routing,
                                             const Match& match) {
  const Rule& rule = *match.rule;
  if (!rule.problem.empty()) {
    co_return co_await refuse(exchange, 500, fmt::format("route {}: {}", rule.route, rule.problem));
  }
  const BackendRef* backend = choose_backend(rule, turn_++);
  if (backend == nullptr || backend->key.empty()) {
    const std::string problem = backend == nullptr ? "all backends have weight 0" : backend->problem;
    co_return co_await refuse(exchange, 500, fmt::format("route {}: {}", rule.route, problem));
  }
  const GatewayOptions& options = shared_.options;
  const auto total =
      rule.request_timeout ? async::Deadline::after(*rule.request_timeout) : async::Deadline::never();

  openai::RequestScan scan;
  HeldBody body(shared_.held_bytes, options.held_body_bytes);
  auto received = co_await body.receive(exchange.body(), scan, total.or_after(options.endpoint_wait));
  if (!received) {
    // A body that is malformed, too large or late is answered by the server, which knows the status.
    const bool ours = received.error().kind == ErrorKind::Unavailable;
    co_return ours ? co_await refuse(exchange, std::move(received).error())
                   : proxy::RelayOutcome{.status = 400, .error = std::move(received).error()};
  }

  proxy::RelayRequest request;
  const http::RequestHead& arrived = exchange.request();
  const std::string request_id =
      arrived.headers.has("x-request-id") ? std::string() : proxy::make_request_id();
  request.head.method = arrived.method;
  request.head.target = rule.rewrite.apply(arrived.target, match.path);
  request.head.headers = proxy::forwarded_request_headers(
      arrived.headers, {.client = exchange.peer(), .request_id = request_id});
  if (!rule.host_rewrite.empty()) {
    request.head.headers.set("Host", rule.host_rewrite);
  }
  rule.request_edits.apply(request.head.headers);
  request.body = body.bytes();
  if (!rule.response_edits.empty()) {
    request.edit_response = [&rule](http::ResponseHead& head) { rule.response_edits.apply(head.headers); };
  }

  const std::string_view model = scan.model() ? std::string_view(*scan.model()) : std::string_view();
  ServiceTargets targets(*this, *routing.pickers.find(backend->key)->second,
                         {.model = model, .stream = scan.stream(), .body_bytes = request.body.size()},
                         backend->key);
  co_return co_await proxy::relay(exchange, pool_, targets, std::move(request),
                                  {.connect = options.connect_timeout,
                                   .first_byte = options.first_byte_timeout,
                                   .idle = options.idle_timeout,
                                   .total = total,
                                   .attempts = options.attempts});
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

Task<void> Lane::handle_own(http::Exchange& exchange, const Routing& routing) {
  const std::string_view path = exchange.request().path();
  if (path == "/healthz") {
    co_await exchange.respond(200, "text/plain", "ok\n");
    co_return;
  }
  if (path == "/metrics") {
    const std::string text = shared_.registry.write_text();
    co_await exchange.respond(200, metrics::kTextContentType, text);
    co_return;
  }
  const std::string message =
      fmt::format("no route matches {} {}; {}", exchange.request().method, path, known_routes(routing.table));
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
