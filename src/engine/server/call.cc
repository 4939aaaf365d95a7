#include "engine/server/call.h"

#include "crypto/random.h"

namespace llmd::engine {

Call::Call(Context& context, http::Exchange& exchange)
    : context_(context), exchange_(exchange), arrival_(system_clock().now()) {
  if (const auto id = exchange.request().headers.find("X-Request-Id");
      id && !id->empty() && id->size() <= 256) {
    request_id_ = *id;
    client_chose_id_ = true;
  } else {
    request_id_ = crypto::random_hex(16);
  }
}

http::ResponseHead Call::head(int status, std::string_view content_type) {
  status_ = status;
  http::ResponseHead head{status, {{"Content-Type", std::string(content_type)}}};
  for (const auto& [name, value] : context_.settings.headers) {
    head.headers.add(name, value);
  }
  if (context_.settings.request_id_headers) {
    head.headers.add("X-Request-Id", request_id_);
  }
  return head;
}

Task<Result<std::string>> Call::read_body() {
  return http::read_all(exchange_.body(), std::size_t{1} << 31);  // the server's own limit is lower
}

Task<void> Call::json(std::string body, int status) {
  http::ResponseHead answer = head(status, "application/json");
  co_await exchange_.respond(std::move(answer), body);
}

Task<void> Call::text(int status, std::string_view content_type, std::string body) {
  http::ResponseHead answer = head(status, content_type);
  co_await exchange_.respond(std::move(answer), body);
}

Task<void> Call::error(ApiError error) {
  co_await json(error_body(error), error.status);
}

Task<Result<void>> Call::start_stream(std::string_view first) {
  http::ResponseHead answer = head(200, "text/event-stream; charset=utf-8");
  answer.headers.add("Cache-Control", "no-cache");
  co_return co_await exchange_.start(std::move(answer), first);
}

}  // namespace llmd::engine
