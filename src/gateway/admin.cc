#include "gateway/admin.h"

#include <array>

#include "async/scope.h"
#include "base/log.h"
#include "base/strings.h"
#include "crypto/random.h"
#include "gateway/manual_routes.h"
#include "gateway/model_directory.h"
#include "http/server.h"
#include "json/path.h"
#include "metrics/text_writer.h"
#include "openai/error_body.h"

namespace llmd::gateway {
namespace {

using http::Exchange;

constexpr std::size_t kLongestBody = 64 * 1024;
constexpr auto kExpiryCheck = std::chrono::seconds(1);
constexpr std::array<std::string_view, 5> kLevels{"debug", "info", "warning", "error", "off"};

Task<void> respond(Exchange& exchange, int status, json::Value body) {
  const std::string text = json::write(body) + "\n";
  co_await exchange.respond(status, "application/json", text);
}

Task<void> respond_error(Exchange& exchange, Error error, int status = 0) {
  const int code = status != 0 ? status : http_status(error.kind);
  const std::string body = openai::error_body(code, error.text());
  co_await exchange.respond(code, "application/json", body);
}

json::Object describe(const ModelMapping& mapping) {
  json::Object entry;
  entry["model"] = mapping.card.id;
  entry["owned_by"] = mapping.card.owned_by;
  entry["via"] = to_string(mapping.via());
  entry["source"] = mapping.via() == Via::Manual ? "manual" : "discovered";
  entry["healthy"] = !mapping.stale;
  entry["default"] = mapping.by_default;
  entry["lastSeen"] =
      mapping.last_seen == WallTime() ? json::Value(nullptr) : json::Value(to_rfc3339(mapping.last_seen));
  if (!mapping.target_model.empty()) {
    entry["targetModel"] = mapping.target_model;
  }
  json::Array targets;
  for (const Serving& serving : mapping.serving) {
    json::Array endpoints;
    for (const picker::Endpoint& endpoint : serving.target->endpoints) {
      const bool serves =
          std::ranges::find(serving.not_serving, endpoint.address) == serving.not_serving.end();
      if (serves) {
        endpoints.emplace_back(endpoint.address.to_string());
      }
    }
    json::Object target;
    target["name"] = serving.target->key;
    target["via"] = to_string(serving.target->via);
    target["weight"] = serving.target->weight;
    target["endpoints"] = std::move(endpoints);
    target["notReady"] = serving.target->not_ready;
    targets.push_back(std::move(target));
  }
  entry["targets"] = std::move(targets);
  return entry;
}

}  // namespace

struct Admin::State {
  State(async::EventLoop& used, Gateway& administered, AdminOptions chosen, std::string secret,
        ManualRoutes kept)
      : loop(used),
        gateway(administered),
        options(std::move(chosen)),
        token(std::move(secret)),
        manual(std::move(kept)),
        server(loop, server_options(), [this](Exchange& exchange) { return handle(exchange); }) {
    for (const std::string& network : gateway.configuration().admin.allowedNetworks) {
      if (auto parsed = Network::parse(network)) {
        allowed.push_back(*parsed);
      }
    }
    if (options.shared_routes != nullptr) {
      options.shared_routes->on_change([this](const ManualRoutes& routes) {
        manual = routes;
        manual.expire(std::chrono::system_clock::now());
        publish();
      });
    }
  }

  static http::ServerOptions server_options() {
    http::ServerOptions server;
    server.max_body_bytes = kLongestBody;
    server.max_connections = 100;
    return server;
  }

  bool authorized(const http::RequestHead& head) const;
  Task<void> handle(Exchange& exchange);
  Task<void> handle_routing(Exchange& exchange);
  Task<void> add_route(Exchange& exchange);
  Task<void> delete_route(Exchange& exchange);
  Task<void> discover(Exchange& exchange);
  Task<void> explain(Exchange& exchange);
  Task<void> log_level(Exchange& exchange);
  Task<void> drain(Exchange& exchange);
  Task<Result<int>> edit(RouteEdit change);
  void publish();
  Task<void> expire();

  async::EventLoop& loop;
  Gateway& gateway;
  const AdminOptions options;
  const std::string token;
  ManualRoutes manual;
  std::vector<Network> allowed;
  http::Server server;
  bool draining = false;
};

bool Admin::State::authorized(const http::RequestHead& head) const {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view given = head.headers.find("authorization").value_or("");
  return given.starts_with(kBearer) && crypto::equal_in_constant_time(given.substr(kBearer.size()), token);
}

Task<void> Admin::State::handle(Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  const std::string_view path = head.path();
  if (path == "/healthz") {
    co_await exchange.respond(200, "text/plain", "ok\n");
  } else if (path == "/metrics") {
    const std::string text = gateway.metrics_text();
    co_await exchange.respond(200, metrics::kTextContentType, text);
  } else if (!authorized(head)) {
    co_await respond_error(exchange, Error{ErrorKind::Unauthenticated, "the admin API needs its bearer token",
                                           "it is in " + options.token_file.string()});
  } else if (path == "/admin/api/routing") {
    co_await handle_routing(exchange);
  } else if (path == "/admin/discover" && head.method == "POST") {
    co_await discover(exchange);
  } else if (path == "/admin/connections" && head.method == "GET") {
    json::Object body;
    body["requests"] = gateway.live_requests();
    co_await respond(exchange, 200, json::Value(std::move(body)));
  } else if (path == "/admin/explain" && head.method == "GET") {
    co_await explain(exchange);
  } else if (path == "/admin/log-level") {
    co_await log_level(exchange);
  } else if (path == "/admin/drain") {
    co_await drain(exchange);
  } else {
    co_await respond_error(exchange, not_found("{} {} is not part of the admin API", head.method, path)
                                         .hint("there are /admin/api/routing, /admin/discover, "
                                               "/admin/connections, /admin/explain, /admin/log-level and "
                                               "/admin/drain"));
  }
}

Task<void> Admin::State::handle_routing(Exchange& exchange) {
  const std::string& method = exchange.request().method;
  if (method == "POST") {
    co_return co_await add_route(exchange);
  }
  if (method == "DELETE") {
    co_return co_await delete_route(exchange);
  }
  if (method != "GET") {
    co_return co_await respond_error(exchange, invalid_argument("{} is not allowed here", method), 405);
  }
  json::Array mappings;
  for (const ModelMapping& mapping : gateway.models().catalog()->mappings) {
    mappings.push_back(describe(mapping));
  }
  json::Array entries;
  for (const auto& [key, route] : manual.all()) {
    entries.push_back(to_json(route));
  }
  json::Object body;
  body["mappings"] = std::move(mappings);
  body["manual"] = std::move(entries);
  body["problems"] = gateway.source_problems();
  co_await respond(exchange, 200, json::Value(std::move(body)));
}

Task<void> Admin::State::add_route(Exchange& exchange) {
  const auto text = co_await http::read_all(exchange.body(), kLongestBody);
  if (!text) {
    co_return;
  }
  const auto parsed = json::parse(*text);
  if (!parsed) {
    co_return co_await respond_error(exchange, parsed.error());
  }
  const WallTime now = std::chrono::system_clock::now();
  auto route = parse_manual_route(*parsed, allowed, now);
  if (!route) {
    co_return co_await respond_error(exchange, route.error());
  }
  const auto catalog = gateway.models().catalog();
  const auto conflicting = std::ranges::find_if(catalog->mappings, [&](const ModelMapping& mapping) {
    return mapping.card.id == route->model && mapping.via() != Via::Manual &&
           (route->owner.empty() || mapping.card.owned_by == route->owner);
  });
  if (conflicting != catalog->mappings.end() && !route->override_discovered) {
    co_return co_await respond_error(
        exchange, conflict("{} of {} was discovered via {}", route->model, conflicting->card.owned_by,
                           to_string(conflicting->via()))
                      .hint("send \"override\": true to put this entry in front of it"));
  }
  json::Object body = to_json(*route);
  const auto is_new = co_await edit([&route](ManualRoutes& routes) { return routes.put(*route); });
  if (!is_new) {
    co_return co_await respond_error(exchange, is_new.error());
  }
  log::info("a model was routed by hand", {{"model", json::string_at(*parsed, "model").value_or("")}});
  co_await respond(exchange, *is_new > 0 ? 201 : 200, json::Value(std::move(body)));
}

Task<void> Admin::State::delete_route(Exchange& exchange) {
  const auto model = exchange.request().query_parameter("model");
  const auto owner = exchange.request().query_parameter("owned_by");
  if (!model || model->empty()) {
    co_return co_await respond_error(exchange, invalid_argument("the parameter model must be given"));
  }
  const auto removed = co_await edit([&](ManualRoutes& routes) {
    return routes.remove(*model, owner ? std::optional<std::string_view>(*owner) : std::nullopt);
  });
  if (!removed) {
    co_return co_await respond_error(exchange, removed.error());
  }
  if (*removed == 0) {
    co_return co_await respond_error(exchange, not_found("no entry made by hand routes {}", *model)
                                                   .hint("discovered ones go when their backend goes"));
  }
  http::ResponseHead head{204, {}};
  co_await exchange.respond(std::move(head), {});
}

Task<void> Admin::State::discover(Exchange& exchange) {
  const auto report = co_await gateway.models().discover();
  json::Object body;
  body["targets"] = report.targets;
  body["endpoints"] = report.endpoints;
  body["answered"] = report.answered;
  body["models"] = report.models;
  co_await respond(exchange, 200, json::Value(std::move(body)));
}

Task<void> Admin::State::explain(Exchange& exchange) {
  constexpr long long kMost = 1000;
  const auto id = exchange.request().query_parameter("request_id");
  const auto last = exchange.request().query_parameter("last");
  const auto count = parse_integer(last.value_or("10"));
  if (!count || *count < 1 || *count > kMost) {
    co_return co_await respond_error(exchange, invalid_argument("last: expected 1 to {}", kMost));
  }
  auto explained = id ? gateway.explain(*id) : gateway.explain_last(static_cast<std::size_t>(*count));
  co_await respond(exchange, 200, std::move(explained));
}

Task<void> Admin::State::log_level(Exchange& exchange) {
  if (exchange.request().method == "PUT") {
    const auto text = co_await http::read_all(exchange.body(), kLongestBody);
    const auto parsed = json::parse(text.value_or(""));
    const auto level = parsed ? json::string_at(*parsed, "level") : std::nullopt;
    const auto found = std::ranges::find(kLevels, level.value_or(""));
    if (found == kLevels.end()) {
      co_return co_await respond_error(exchange,
                                       invalid_argument("level: expected one of debug, info, warning, "
                                                        "error, off"));
    }
    log::configure(static_cast<log::Level>(found - kLevels.begin()));
  }
  json::Object body;
  body["level"] = kLevels[static_cast<std::size_t>(log::level())];
  co_await respond(exchange, 200, json::Value(std::move(body)));
}

Task<void> Admin::State::drain(Exchange& exchange) {
  if (exchange.request().method == "POST") {
    if (!options.begin_drain) {
      co_return co_await respond_error(exchange, unimplemented("this gateway cannot be drained from here"));
    }
    if (!draining) {
      draining = true;
      options.begin_drain();
    }
  }
  json::Object body;
  body["draining"] = draining;
  body["running"] = gateway.live_requests().size();
  co_await respond(exchange, exchange.request().method == "POST" ? 202 : 200, json::Value(std::move(body)));
}

Task<Result<int>> Admin::State::edit(RouteEdit change) {
  if (options.shared_routes != nullptr) {
    co_return co_await options.shared_routes->edit(std::move(change));
  }
  const auto outcome = change(manual);
  if (outcome) {
    publish();
  }
  co_return outcome;
}

void Admin::State::publish() {
  std::vector<ManualRoute> routes;
  for (const auto& [key, route] : manual.all()) {
    routes.push_back(route);
  }
  gateway.models().set_manual(std::move(routes));
}

Task<void> Admin::State::expire() {
  while (true) {
    const std::size_t before = manual.all().size();
    manual.expire(std::chrono::system_clock::now());
    if (manual.all().size() != before) {
      publish();
    }
    co_await async::sleep(kExpiryCheck);
  }
}

Admin::Admin() = default;
Admin::~Admin() = default;

Result<std::unique_ptr<Admin>> Admin::create(async::EventLoop& loop, Gateway& gateway, AdminOptions options) {
  LLMD_TRY(auto token, read_or_make_token(options.token_file));
  LLMD_TRY(auto manual, ManualRoutes::open(options.routing_file));
  std::unique_ptr<Admin> admin(new Admin());
  admin->state_ =
      std::make_unique<State>(loop, gateway, std::move(options), std::move(token), std::move(manual));
  admin->state_->publish();
  return admin;
}

Result<net::Address> Admin::listen(const net::Address& address) {
  return state_->server.listen(address);
}

Task<void> Admin::run() {
  co_await async::with_scope(state_->loop.executor(), [this](async::Scope& scope) -> Task<void> {
    scope.spawn("expire entries", state_->expire());
    co_await state_->server.run();
  });
}

}  // namespace llmd::gateway
