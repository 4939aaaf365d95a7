#include "apiserver/dispatch.h"

#include <boost/json/array.hpp>

#include "apiserver/discovery.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

constexpr std::size_t kMaxBody = 3 << 20;  // as the real server: 3 MiB

Task<void> send_document(http::Exchange& exchange, const Document& document) {
  http::ResponseHead head;
  head.headers.add("Content-Type", document.content_type);
  head.headers.add("ETag", document.etag);
  head.headers.add("Vary", "Accept");
  head.headers.add("Cache-Control", document.immutable ? "public, immutable" : "no-cache, private");
  const bool known = exchange.request().headers.find("If-None-Match") == std::string_view(document.etag);
  head.status = known ? 304 : 200;
  static_cast<void>(co_await exchange.respond(std::move(head),
                                              known ? std::string_view() : std::string_view(document.body)));
}

Task<void> send_text(http::Exchange& exchange, int status, std::string_view text) {
  static_cast<void>(co_await exchange.respond(status, "text/plain; charset=utf-8", text));
}

bool is_health_path(std::string_view path) {
  return path == "/healthz" || path == "/livez" || path == "/readyz" || path.starts_with("/healthz/") ||
         path.starts_with("/livez/") || path.starts_with("/readyz/");
}

using HandlerFunction = Task<void> (*)(Service&, http::Exchange&, Request&);

// What cannot be served here, in words for the user.
Failure unserved(const Request& request) {
  const std::string& sub = request.path.subresource;
  if (sub == "exec" || sub == "attach" || sub == "portforward") {
    return not_implemented(
        fmt::format("{} is not supported by this server: pods are processes of this machine (see their log "
                    "with kubectl logs, their address with kubectl get pods -o wide)",
                    sub));
  }
  return method_not_allowed();
}

HandlerFunction collection_handler(const Request& request) {
  const bool writable = !request.kind().read_only;
  if (request.method == "GET") {
    return request.query.flag("watch") ? handle_watch : handle_list;
  }
  if (request.method == "POST" && writable) {
    return handle_create;
  }
  return request.method == "DELETE" && writable ? handle_delete_collection : nullptr;
}

HandlerFunction object_handler(const Request& request) {
  if (request.method == "GET") {
    return request.query.flag("watch") ? handle_watch : handle_get;
  }
  if (request.kind().read_only) {
    return nullptr;
  }
  return request.method == "PUT"      ? handle_update
         : request.method == "PATCH"  ? handle_patch
         : request.method == "DELETE" ? handle_delete
                                      : nullptr;
}

HandlerFunction subresource_handler(const Request& request) {
  const std::string& sub = request.path.subresource;
  const std::string& method = request.method;
  const bool change = method == "PUT" || method == "PATCH";
  if (sub == "status") {
    return method == "GET"     ? handle_get
           : method == "PUT"   ? handle_update
           : method == "PATCH" ? handle_patch
                               : nullptr;
  }
  if (sub == "scale") {
    return method == "GET" || change ? handle_scale : nullptr;
  }
  if (sub == "finalize") {
    return method == "PUT" ? handle_update : method == "PATCH" ? handle_patch : nullptr;
  }
  if (sub == "log") {
    return method == "GET" ? handle_log : nullptr;
  }
  if (sub == "binding") {
    return method == "POST" ? handle_binding : nullptr;
  }
  return sub == "eviction" && method == "POST" ? handle_eviction : nullptr;
}

Answer<HandlerFunction> handler_of(const Request& request) {
  const ResourcePath& path = request.path;
  if (!path.subresource.empty() && !request.kind().has_subresource(path.subresource)) {
    return std::unexpected(request.kind().custom ? object_not_found(request.resource(), path.key.name)
                                                 : path_not_found());
  }
  const HandlerFunction handler = path.key.name.empty()      ? collection_handler(request)
                                  : path.subresource.empty() ? object_handler(request)
                                                             : subresource_handler(request);
  if (!handler) {
    return std::unexpected(unserved(request));
  }
  return handler;
}

Task<void> serve_resource(Service& service, http::Exchange& exchange, ResourcePath path) {
  Request request;
  request.method = exchange.request().method;
  request.path = std::move(path);
  auto options = read_options(request, exchange.request());
  auto body = co_await http::read_all(exchange.body(), kMaxBody);
  if (!body) {
    co_await send_failure(exchange, {413, "RequestEntityTooLarge", body.error().message, {}});
    co_return;
  }
  request.body = std::move(*body);
  const Answer<HandlerFunction> handler =
      options ? handler_of(request) : std::unexpected(std::move(options.error()));
  if (!handler) {
    co_await send_failure(exchange, handler.error());
    co_return;
  }
  co_await (*handler)(service, exchange, request);
}

Task<void> serve_review(http::Exchange& exchange, std::string_view path) {
  const auto body = co_await http::read_all(exchange.body(), kMaxBody);
  const auto answer = body ? answer_review(path, *body) : std::nullopt;
  if (!answer) {
    co_await send_failure(exchange, bad_request("the review is not a JSON object"));
    co_return;
  }
  const std::string text = json::write(boost::json::value(*answer));
  static_cast<void>(co_await exchange.respond(201, "application/json", text));
}

}  // namespace

std::optional<boost::json::object> answer_review(std::string_view path, const std::string& body) {
  auto review = json::parse_object(body);
  if (!review) {
    return std::nullopt;
  }
  boost::json::object& status = (*review)["status"].emplace_object();
  if (path.ends_with("/selfsubjectaccessreviews")) {
    status["allowed"] = true;
    status["reason"] = "the owner of the token may do everything";
  } else if (path.ends_with("/selfsubjectrulesreviews")) {
    const boost::json::array all{boost::json::value("*")};
    status["resourceRules"] = boost::json::array{{{"verbs", all}, {"apiGroups", all}, {"resources", all}}};
    status["nonResourceRules"] = boost::json::array{{{"verbs", all}, {"nonResourceURLs", all}}};
    status["incomplete"] = false;
  } else {
    status["userInfo"] = {{"username", "llmd-admin"},
                          {"groups", boost::json::array{boost::json::value("system:masters")}}};
  }
  return std::move(*review);
}

Task<void> dispatch(Service& service, http::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  const std::string path(head.path());
  const std::string accept(head.headers.find("Accept").value_or(""));
  if (is_health_path(path)) {
    const bool verbose = head.query_parameter("verbose").has_value();
    const std::string check = path.substr(1, path.find('/', 1) - 1);
    co_await send_text(exchange, 200, verbose ? fmt::format("[+]store ok\n{} check passed\n", check) : "ok");
    co_return;
  }
  if (head.method == "GET") {
    auto document = discovery_document(path, accept);
    if (!document) {
      document = openapi_document(path, accept);
    }
    if (document) {
      co_await send_document(exchange, *document);
      co_return;
    }
  }
  const bool review = path.ends_with("reviews") && (path.starts_with("/apis/authorization.k8s.io/v1/self") ||
                                                    path.starts_with("/apis/authentication.k8s.io/v1/self"));
  if (review && head.method == "POST") {
    co_await serve_review(exchange, path);
    co_return;
  }
  auto resource = parse_resource_path(path);
  if (!resource) {
    co_await send_text(exchange, 404, "404 page not found\n");
    co_return;
  }
  co_await serve_resource(service, exchange, std::move(*resource));
}

}  // namespace llmd::apiserver
