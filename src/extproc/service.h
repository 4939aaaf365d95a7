// The endpoint picker behind a proxy: envoy.service.ext_proc.v3.ExternalProcessor. One stream is one request
// of the proxy's client: its headers and body come in, the picker decides, headers that name the endpoint and
// the body go back, then the answer passes by. The decision's lease lives as long as the stream.
//
// Modes (protocol_config of the first message): FULL_DUPLEX_STREAMED, also when the proxy does not say;
// BUFFERED; STREAMED; NONE, where the decision knows only the headers. docs/compatibility.md lists what
// differs from llm-d's picker.
//
// One loop; several services may share pools.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "extproc/pools.h"
#include "http/grpc_server.h"
#include "metrics/registry.h"
#include "picker/picker.h"
#include "trace/span.h"

namespace llmd::extproc {

struct ServiceOptions {
  std::string destination_header = "x-gateway-destination-endpoint";
  std::string destination_namespace = "envoy.lb";  // of the dynamic metadata
  std::size_t max_body_bytes = 64 * 1024 * 1024;   // of one request; more is answered 413
  std::size_t held_bytes = std::size_t{1} << 30;   // of all requests that wait to be decided; more: 503
  // Answers a STREAMED or BUFFERED proxy's response headers with mode_override NONE: cheap, but nobody counts
  // tokens then.
  bool skip_response_bodies = false;
  bool stream_metrics = false;  // llm_d_epp_extproc_*
  // Makes spans of requests; outlives the service. Null: nobody does, and a client's context passes as it
  // came.
  const trace::Tracer* tracer = nullptr;
  const Clock* clock = &system_clock();
};

struct ServiceMetrics {
  explicit ServiceMetrics(metrics::Registry& registry);
  metrics::Gauge& inflight;
  metrics::Counter& streams;
  metrics::Counter& immediate;
  // How streams ended: the answer passed to its end; the proxy closed after an answer whose body it did not
  // show; anything before that, such as a client that left.
  std::shared_ptr<metrics::Counter> answered;
  std::shared_ptr<metrics::Counter> closed;
  std::shared_ptr<metrics::Counter> abandoned;
  metrics::Counter& short_answers;  // see Service::Shared::answer_hidden()
  metrics::Counter& malformed;
  metrics::Counter& oversized;
  metrics::Gauge& held_bytes;
  metrics::Counter& unrendered;
  metrics::Histogram& request_seconds;   // from the headers to the decision
  metrics::Histogram& response_seconds;  // the answer's last message

  // Of the gRPC streams themselves; counted when somebody wants them.
  struct Streams {
    explicit Streams(metrics::Registry& registry);
    metrics::Gauge& inflight;
    metrics::Histogram& seconds;
    metrics::Family<metrics::Counter>& ended;
  };
  std::unique_ptr<Streams> grpc;

  void rewritten(std::string_view rewrite, std::string_view model, std::string_view target);

 private:
  metrics::Family<metrics::Counter>& rewrites_;
  metrics::Family<metrics::Counter>& rewrites_older_;
};

class Service {
 public:
  Service(async::EventLoop& loop, std::shared_ptr<const Pools> pools, ServiceMetrics& metrics,
          ServiceOptions options = {});
  ~Service();
  // What goes on beside requests: engines that count tokens are kept warm. Until cancelled.
  Task<void> run();
  // The service must outlive the server.
  void add_to(http::GrpcServer& server);

  struct Shared;  // private to extproc

 private:
  std::unique_ptr<Shared> shared_;
};

}  // namespace llmd::extproc
