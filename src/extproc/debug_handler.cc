#include "extproc/debug_handler.h"

#include "base/strings.h"
#include "json/value.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::int64_t kMostExplained = 10'000;

Task<void> explain(const picker::Picker& picker, http::Exchange& exchange) {
  const auto id = exchange.request().query_parameter("id");
  const auto last = parse_integer(exchange.request().query_parameter("last").value_or("1"));
  json::Value answer;
  if (id) {
    answer = picker.explain(*id);
    if (answer.is_null()) {
      co_await exchange.respond(404, "text/plain; charset=utf-8",
                                "no decision for request " + *id + " is remembered\n");
      co_return;
    }
  } else if (last && *last > 0 && *last <= kMostExplained) {
    answer = picker.explain_last(static_cast<std::size_t>(*last));
  } else {
    co_await exchange.respond(400, "text/plain; charset=utf-8", "last: a number from 1 to 10000\n");
    co_return;
  }
  co_await exchange.respond(200, kJson, json::write_pretty(answer));
}

}  // namespace

http::Handler debug_handler(const picker::Picker& picker, const metrics::Registry& registry,
                            std::function<void(json::Object&)> describe) {
  return [&picker, &registry, describe = std::move(describe)](http::Exchange& exchange) -> Task<void> {
    const std::string_view path = exchange.request().path();
    if (exchange.request().method != "GET" && exchange.request().method != "HEAD") {
      co_await exchange.respond(405, "text/plain; charset=utf-8", "GET only\n");
    } else if (path == "/metrics") {
      co_await exchange.respond(200, metrics::kTextContentType, registry.write_text());
    } else if (path == "/healthz" || path == "/readyz" || path == "/livez") {
      co_await exchange.respond(200, "text/plain; charset=utf-8", "ok\n");
    } else if (path.starts_with("/debug") && !exchange.peer().is_loopback()) {
      co_await exchange.respond(403, "text/plain; charset=utf-8",
                                "/debug is for this machine only; use kubectl port-forward\n");
    } else if (path == "/debug" || path == "/debug/plugins/state") {
      json::Value state = picker.debug_state();
      describe(state.as_object());
      co_await exchange.respond(200, kJson, json::write_pretty(state));
    } else if (path == "/debug/explain") {
      co_await explain(picker, exchange);
    } else if (path == "/debug/explanations") {
      co_await exchange.respond(200, "application/x-ndjson", picker.export_explanations());
    } else {
      co_await exchange.respond(404, "text/plain; charset=utf-8",
                                "there are /metrics, /debug, /debug/explain?id=, /debug/explanations\n");
    }
  };
}

}  // namespace llmd::extproc
