// OtlpExporter sends finished spans to an OpenTelemetry collector: OTLP over HTTP with JSON bodies, in
// batches.
//
//   LLMD_TRY(auto target, parse_otlp_endpoint("http://collector:4318"));
//   OtlpExporter exporter(loop, {.target = target, .resource = {.service = "llmd-gateway"}});
//   scope.spawn("trace export", exporter.run());
//
// A batch goes out when it is full or `interval` after its first span. A collector that is away or busy (no
// connection, 408, 429, 5xx) is asked again with back-off, `attempts` times in all; any other refusal drops
// the batch. Nothing ever waits for it: what does not fit into the queue is dropped and counted.
//
// Threads: take() and stats() from any; run() and flush() on the loop. The loop must live as long as the
// exporter.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "http/client.h"
#include "trace/otlp.h"

namespace llmd::trace {

struct OtlpTarget {
  net::Address address;
  std::string path = "/v1/traces";
  bool tls = false;
};

// "http://collector:4318", "https://host:4318/prefix", "collector:4318". A base URL gets "/v1/traces"
// appended, as OTEL_EXPORTER_OTLP_ENDPOINT wants it. 4317, the port of OTLP over gRPC which we do not speak,
// becomes 4318 on the same host, with a warning in the log.
Result<OtlpTarget> parse_otlp_endpoint(std::string_view url);

class OtlpExporter final : public SpanSink {
 public:
  struct Options {
    OtlpTarget target;
    Resource resource;
    http::ClientOptions client;  // its `tls` is needed for https
    std::size_t batch_spans = 512;
    std::size_t max_queued = 8'192;  // spans
    Duration interval = std::chrono::seconds(5);
    Duration timeout = std::chrono::seconds(10);  // of one attempt
    int attempts = 4;
    Duration first_pause = std::chrono::milliseconds(500);  // doubled after each attempt
  };
  struct Stats {
    std::uint64_t exported = 0;  // spans
    std::uint64_t dropped = 0;   // the queue was full
    std::uint64_t refused = 0;   // lost with their batch
    std::uint64_t failures = 0;  // attempts
    std::size_t queued = 0;
  };

  OtlpExporter(async::EventLoop& loop, Options options);
  ~OtlpExporter() override;

  void take(FinishedSpan span) override;
  // Exports until cancelled.
  Task<void> run();
  // Sends what is queued now, for a clean end after run() was cancelled. One attempt per batch.
  Task<Result<void>> flush(async::Deadline deadline);
  Stats stats() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace llmd::trace
