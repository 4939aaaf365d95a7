#include "engine/server/router.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "crypto/random.h"
#include "engine/server/generate.h"
#include "engine/server/handlers.h"

namespace llmd::engine {
namespace {

using HandlerFunction = Task<void> (*)(Call&);

enum class Needs { Nothing, Model, RuntimeLora, DevMode };

struct Route {
  std::string_view method;
  std::string_view path;
  HandlerFunction handler;
  Needs needs = Needs::Model;
};

constexpr Route kRoutes[] = {
    {"GET", "/health", &handle_health, Needs::Nothing},
    {"GET", "/health/ready", &handle_health, Needs::Nothing},
    {"GET", "/ready", &handle_health, Needs::Nothing},
    {"GET", "/ping", &handle_health, Needs::Nothing},
    {"POST", "/ping", &handle_health, Needs::Nothing},
    {"GET", "/version", &handle_version, Needs::Nothing},
    {"GET", "/metrics", &handle_metrics, Needs::Nothing},
    {"GET", "/load", &handle_load},
    {"GET", "/v1/models", &handle_models},
    {"POST", "/v1/completions", &handle_completions},
    {"POST", "/v1/chat/completions", &handle_chat_completions},
    {"POST", "/v1/completions/render", &handle_completions_render},
    {"POST", "/v1/chat/completions/render", &handle_chat_render},
    {"POST", "/tokenize", &handle_tokenize},
    {"POST", "/detokenize", &handle_detokenize},
    {"POST", "/reset_prefix_cache", &handle_reset_prefix_cache, Needs::DevMode},
    {"POST", "/v1/load_lora_adapter", &handle_load_adapter, Needs::RuntimeLora},
    {"POST", "/v1/unload_lora_adapter", &handle_unload_adapter, Needs::RuntimeLora},
};

bool has_key(const ServerSettings& settings, const http::RequestHead& request) {
  const auto header = request.headers.find("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (!header || header->size() <= kBearer.size() ||
      !equals_ignoring_case(header->substr(0, kBearer.size()), kBearer)) {
    return false;
  }
  bool found = false;
  for (const std::string& key : settings.api_keys) {
    found = crypto::equal_in_constant_time(key, header->substr(kBearer.size())) || found;
  }
  return found;
}

bool is_protected(std::string_view path) {
  return path.starts_with("/v1") || path.starts_with("/v2") || path.starts_with("/inference");
}

bool is_json(const http::RequestHead& request) {
  const auto type = request.headers.find("Content-Type");
  if (!type) {
    return true;
  }
  const std::string_view essence = trim(type->substr(0, type->find(';')));
  return equals_ignoring_case(essence, "application/json") || to_lower(essence).ends_with("+json");
}

bool is_switched_on(const ServerSettings& settings, Needs needs) {
  return (needs != Needs::RuntimeLora || settings.runtime_lora) &&
         (needs != Needs::DevMode || settings.dev_mode);
}

// The route of the request, or why there is none.
Api<const Route*> find_route(const Context& context, const http::RequestHead& request,
                             std::string_view path) {
  bool path_exists = false;
  for (const Route& route : kRoutes) {
    if (route.path != path || !is_switched_on(context.settings, route.needs)) {
      continue;
    }
    path_exists = true;
    if (route.method == request.method || (route.method == "GET" && request.method == "HEAD")) {
      return &route;
    }
  }
  if (path_exists) {
    return std::unexpected(ApiError{405,
                                    std::string(error_type(405)),
                                    fmt::format("{} is not allowed for {}", request.method, path),
                                    {}});
  }
  return std::unexpected(
      ApiError{404, std::string(error_type(404)), fmt::format("there is no {}", path), {}});
}

Api<> check_request(const Context& context, const http::RequestHead& request, const Route& route) {
  if (request.method == "POST" && !is_json(request)) {
    return std::unexpected(
        ApiError{415, std::string(error_type(415)), "the Content-Type must be application/json", {}});
  }
  if (route.needs != Needs::Nothing) {
    if (const auto health = health_of(context); !health) {
      return std::unexpected(api_error(health.error()));
    }
  }
  return {};
}

Task<void> dispatch(Call& call, std::string_view path) {
  const Context& context = call.context();
  const http::RequestHead& request = call.exchange().request();
  if (request.method == "OPTIONS") {
    co_return co_await call.text(200, "text/plain; charset=utf-8", "OK");
  }
  if (!context.settings.api_keys.empty() && is_protected(path) && !has_key(context.settings, request)) {
    co_return co_await call.json(R"({"error":"Unauthorized"})", 401);
  }
  const auto route = find_route(context, request, path);
  if (!route) {
    co_return co_await call.error(route.error());
  }
  call.set_route((*route)->path);
  const auto checked = check_request(context, request, **route);
  if (!checked) {
    co_return co_await call.error(checked.error());
  }
  co_await (*route)->handler(call);
}

std::string_view without_root(std::string_view path, const std::string& root) {
  if (!root.empty() && path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/')) {
    path.remove_prefix(root.size());
  }
  return path;
}

void write_log(const Call& call, const http::Exchange& exchange, std::string_view path, Duration duration) {
  const double milliseconds = std::chrono::duration<double, std::milli>(duration).count();
  log::info("request", {{"method", exchange.request().method},
                        {"path", path},
                        {"status", call.status()},
                        {"ms", milliseconds},
                        {"request_id", call.request_id()}});
}

}  // namespace

std::vector<std::string_view> route_paths() {
  std::vector<std::string_view> paths;
  for (const Route& route : kRoutes) {
    paths.push_back(route.path);
  }
  return paths;
}

http::Handler make_handler(Context& context) {
  return [&context](http::Exchange& exchange) -> Task<void> {
    Call call(context, exchange);
    const std::string_view path = without_root(exchange.request().path(), context.settings.root_path);
    co_await dispatch(call, path);
    const Duration duration = system_clock().now() - call.arrival();
    context.http_metrics.count(call.route(), exchange.request().method, call.status(), duration);
    const ServerSettings& settings = context.settings;
    if (settings.access_log &&
        std::ranges::find(settings.unlogged_paths, path) == settings.unlogged_paths.end()) {
      write_log(call, exchange, path, duration);
    }
  };
}

}  // namespace llmd::engine
