#include "gateway/request_trace.h"

#include <chrono>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

constexpr std::size_t kLongestPath = 64;

// Paths of the API are few; others would make a name per request.
std::string name_of(const http::RequestHead& head) {
  const std::string_view path = head.path();
  const bool api = path.starts_with("/v1/") && path.size() <= kLongestPath;
  return api ? fmt::format("{} {}", head.method, path) : head.method;
}

bool is_watched_only(std::string_view path) {
  return path == "/healthz" || path == "/metrics";
}

}  // namespace

RequestTrace::RequestTrace(const trace::Tracer* tracer, const http::RequestHead& head)
    : tracer_(is_watched_only(head.path()) ? nullptr : tracer) {
  if (tracer_ == nullptr) {
    return;
  }
  const auto parent = trace::parse_traceparent(head.headers.find(trace::kTraceparent).value_or(""));
  server_ = tracer_->start(name_of(head), parent, trace::SpanKind::Server);
  server_.set("http.request.method", std::string_view(head.method));
  server_.set("url.path", head.path());
}

trace::Span RequestTrace::begin(std::string_view name, trace::SpanKind kind) const {
  return tracer_ == nullptr ? trace::Span() : tracer_->start(name, server_.context(), kind);
}

void RequestTrace::mark(http::Headers& headers, const trace::Span& span) const {
  if (tracer_ != nullptr) {
    headers.set(trace::kTraceparent, trace::format_traceparent(span.context()));
  }
}

proxy::Targets& RequestTrace::traced(proxy::Targets& targets) {
  return sampled() ? targets_.emplace(*this, targets) : targets;
}

void RequestTrace::end_attempt(const std::optional<Error>& error) {
  if (error) {
    attempt_.fail(error->text());
  }
  attempt_.end();
}

Task<Result<net::Address>> RequestTrace::TracedTargets::next() {
  if (request_.attempt_.sampled()) {
    request_.attempt_.fail("tried elsewhere");
    request_.attempt_.end();
  }
  trace::Span pick = request_.begin("pick");
  auto target = co_await targets_.next();
  if (!target) {
    pick.fail(target.error().text());
    co_return target;
  }
  pick.set("server.address", target->host);
  pick.end();
  request_.attempt_ = request_.begin("upstream", trace::SpanKind::Client);
  request_.attempt_.set("server.address", target->host);
  request_.attempt_.set("server.port", target->port);
  request_.attempt_began_ = std::chrono::steady_clock::now();
  co_return target;
}

void RequestTrace::TracedTargets::prepare(http::RequestHead& head) {
  targets_.prepare(head);
  request_.mark(head.headers, request_.attempt_);
}

void RequestTrace::TracedTargets::answered(http::ResponseHead& head) {
  request_.attempt_.set("http.response.status_code", head.status);
  targets_.answered(head);
}

void RequestTrace::TracedTargets::first_byte() {
  const auto waited = std::chrono::steady_clock::now() - request_.attempt_began_;
  request_.attempt_.set("gen_ai.server.time_to_first_token", std::chrono::duration<double>(waited).count());
  targets_.first_byte();
}

}  // namespace llmd::gateway
