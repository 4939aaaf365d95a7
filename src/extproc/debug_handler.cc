#include "extproc/debug_handler.h"

#include "base/clock.h"
#include "base/strings.h"
#include "json/value.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::int64_t kMostExplained = 10'000;

struct Handler {
  std::shared_ptr<const Pools> pools;
  const metrics::Registry& registry;
  std::shared_ptr<MetricsGuard> guard;
  std::function<void(json::Object&)> describe;

  Task<void> answer(http::Exchange& exchange) const;
  Task<void> metrics(http::Exchange& exchange) const;
  Task<void> explain(http::Exchange& exchange) const;
  Task<void> explanations(http::Exchange& exchange) const;
  json::Value state() const;
  json::Value plugins() const;
  std::vector<PoolPtr> asked_for(const http::Exchange& exchange) const;
};

// The pool that the question names, or all.
std::vector<PoolPtr> Handler::asked_for(const http::Exchange& exchange) const {
  const auto name = exchange.request().query_parameter("pool");
  if (!name) {
    return pools->all();
  }
  const PoolPtr pool = pools->find(*name);
  return pool ? std::vector{pool} : std::vector<PoolPtr>();
}

Task<void> Handler::metrics(http::Exchange& exchange) const {
  switch (co_await guard->ask(exchange.request(), exchange.peer())) {
    case 200:
      co_await exchange.respond(200, metrics::kTextContentType, registry.write_text());
      break;
    case 401:
      co_await exchange.respond(401, kText, "a bearer token is needed; see --metrics-endpoint-auth\n");
      break;
    case 403:
      co_await exchange.respond(403, kText, "not allowed to get /metrics; see --metrics-endpoint-auth\n");
      break;
    default:
      co_await exchange.respond(503, kText, "Kubernetes does not review tokens at the moment\n");
  }
}

Task<void> Handler::explain(http::Exchange& exchange) const {
  const auto id = exchange.request().query_parameter("id");
  const auto last = parse_integer(exchange.request().query_parameter("last").value_or("1"));
  const auto asked = asked_for(exchange);
  json::Value answer;
  if (id) {
    for (const PoolPtr& pool : asked) {
      answer = answer.is_null() ? pool->picker->explain(*id) : std::move(answer);
    }
    if (answer.is_null()) {
      co_await exchange.respond(404, kText, "no decision for request " + *id + " is remembered\n");
      co_return;
    }
  } else if (last && *last > 0 && *last <= kMostExplained) {
    json::Array all;
    for (const PoolPtr& pool : asked) {
      for (json::Value& one : pool->picker->explain_last(static_cast<std::size_t>(*last)).as_array()) {
        all.push_back(std::move(one));
      }
    }
    answer = std::move(all);
  } else {
    co_await exchange.respond(400, kText, "last: a number from 1 to 10000\n");
    co_return;
  }
  co_await exchange.respond(200, kJson, json::write_pretty(answer));
}

Task<void> Handler::explanations(http::Exchange& exchange) const {
  const auto asked = asked_for(exchange);
  if (asked.size() != 1) {
    std::string names;
    for (const PoolPtr& pool : pools->all()) {
      names += (names.empty() ? "" : ", ") + pool->name;
    }
    co_await exchange.respond(400, kText, fmt::format("say ?pool=NAME, one of: {}\n", names));
    co_return;
  }
  co_await exchange.respond(200, kJson, asked.front()->picker->export_explanations());
}

json::Value Handler::state() const {
  const auto all = pools->all();
  json::Object said;
  if (all.size() == 1) {
    said = all.front()->picker->debug_state().as_object();
  } else {
    json::Object& by_name = said["pools"].emplace_object();
    for (const PoolPtr& pool : all) {
      by_name[pool->name] = pool->picker->debug_state();
    }
  }
  describe(said);
  return json::Value(std::move(said));
}

// As llm-d's picker says it, for tools that read it there; with several pools by pool.
json::Value Handler::plugins() const {
  json::Object said;
  said["timestamp"] = to_rfc3339(system_clock().wall_now());
  const auto plugins_of = [](const Pool& pool) {
    return std::move(pool.picker->debug_state().as_object()["plugins"]);
  };
  if (const PoolPtr only = pools->only()) {
    said["plugins"] = plugins_of(*only);
  } else {
    json::Object& by_name = said["pools"].emplace_object();
    for (const PoolPtr& pool : pools->all()) {
      by_name[pool->name].emplace_object()["plugins"] = plugins_of(*pool);
    }
  }
  return json::Value(std::move(said));
}

Task<void> Handler::answer(http::Exchange& exchange) const {
  const std::string_view path = exchange.request().path();
  if (exchange.request().method != "GET" && exchange.request().method != "HEAD") {
    co_await exchange.respond(405, kText, "GET only\n");
  } else if (path == "/metrics") {
    co_await metrics(exchange);
  } else if (path == "/healthz" || path == "/readyz" || path == "/livez") {
    co_await exchange.respond(200, kText, "ok\n");
  } else if (path.starts_with("/debug") && !exchange.peer().is_loopback()) {
    co_await exchange.respond(403, kText, "/debug is for this machine only; use kubectl port-forward\n");
  } else if (path == "/debug") {
    co_await exchange.respond(200, kJson, json::write_pretty(state()));
  } else if (path == "/debug/plugins/state") {
    co_await exchange.respond(200, kJson, json::write_pretty(plugins()));
  } else if (path == "/debug/explain") {
    co_await explain(exchange);
  } else if (path == "/debug/explanations") {
    co_await explanations(exchange);
  } else {
    co_await exchange.respond(404, kText,
                              "there are /metrics, /debug, /debug/explain?id=, /debug/explanations\n");
  }
}

}  // namespace

http::Handler debug_handler(std::shared_ptr<const Pools> pools, const metrics::Registry& registry,
                            std::shared_ptr<MetricsGuard> guard,
                            std::function<void(json::Object&)> describe) {
  const auto handler =
      std::make_shared<const Handler>(std::move(pools), registry, std::move(guard), std::move(describe));
  return [handler](http::Exchange& exchange) { return handler->answer(exchange); };
}

}  // namespace llmd::extproc
