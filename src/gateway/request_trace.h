// The spans of one request, in OpenTelemetry's words:
//
//   POST /v1/chat/completions   server    from the head to the end of the answer; continues the client's
//   trace
//     pick                      internal  each wait for an endpoint, flow control and external pickers
//     included upstream                  client    each attempt, from the connection to the last byte;
//     engines see it as
//                                         their parent in `traceparent`
//
// Without a tracer all of it does nothing, and a client's `traceparent` goes on as it came. One loop.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "proxy/relay.h"
#include "trace/span.h"

namespace llmd::gateway {

class RequestTrace {
 public:
  // `tracer` may be null.
  RequestTrace(const trace::Tracer* tracer, const http::RequestHead& head);
  RequestTrace(const RequestTrace&) = delete;

  trace::Span& server() { return server_; }
  bool sampled() const { return server_.sampled(); }
  trace::Span begin(std::string_view name, trace::SpanKind kind = trace::SpanKind::Internal) const;
  // Tells the next hop whom it works for.
  void mark(http::Headers& headers) const { mark(headers, server_); }
  void mark(http::Headers& headers, const trace::Span& span) const;
  // The same targets; their choices and attempts become spans where the request is sampled. The result lives
  // as long as both.
  proxy::Targets& traced(proxy::Targets& targets);
  // The last attempt is over.
  void end_attempt(const std::optional<Error>& error);

 private:
  class TracedTargets final : public proxy::Targets {
   public:
    TracedTargets(RequestTrace& request, proxy::Targets& targets) : request_(request), targets_(targets) {}
    Task<Result<net::Address>> next() override;
    void prepare(http::RequestHead& head) override;
    void answered(http::ResponseHead& head) override;
    void first_byte() override;

   private:
    RequestTrace& request_;
    proxy::Targets& targets_;
  };

  const trace::Tracer* tracer_;
  trace::Span server_;
  trace::Span attempt_;
  TimePoint attempt_began_{};
  std::optional<TracedTargets> targets_;
};

}  // namespace llmd::gateway
