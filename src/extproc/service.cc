#include "extproc/service.h"

#include "base/log.h"
#include "envoy/ext_proc.h"
#include "extproc/exchange.h"
#include "picker/plan.h"

namespace llmd::extproc {
namespace {

constexpr double kSeconds[] = {.0001, .00025, .0005, .001, .0025, .005, .01, .025,
                               .05,   .1,     .25,   .5,   1,     2.5,  5,   10};
constexpr std::string_view kRewriteHelp = "Requests whose model an InferenceModelRewrite changed.";

class Stream final : public http::GrpcHandler {
 public:
  Stream(Service::Shared& shared, http::GrpcCall& call)
      : metrics_(shared.metrics), exchange_(std::make_shared<Exchange>(shared, call)) {
    if (metrics_.grpc) {
      metrics_.grpc->inflight.add(1);
      began_ = std::chrono::steady_clock::now();
    }
  }
  ~Stream() override {
    exchange_->closed();
    if (metrics_.grpc) {
      metrics_.grpc->inflight.add(-1);
      metrics_.grpc->seconds.observe(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count());
      metrics_.grpc->ended.with({exchange_->ended_as()})->add();
    }
  }
  void on_message(std::string_view bytes) override { exchange_->message(bytes); }
  void on_half_close() override { exchange_->half_closed(); }
  void on_failed(const http::GrpcStatus& status) override { exchange_->failed(status); }
  void on_drained() override { exchange_->drained(); }
  void on_sending() override { exchange_->sending(); }

 private:
  ServiceMetrics& metrics_;
  TimePoint began_;
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

ServiceMetrics::ServiceMetrics(metrics::Registry& registry)
    : inflight(registry.gauge("llmd_extproc_streams", "Streams of proxies, one per request, that are open.")),
      streams(registry.counter("llmd_extproc_streams_total", "Streams that proxies opened.")),
      immediate(registry.counter("llmd_extproc_immediate_responses_total",
                                 "Requests that were answered without an engine.")),
      short_answers(registry.counter("llmd_extproc_short_answers_total",
                                     "Streams that ended right after the response headers.")),
      malformed(registry.counter("llmd_extproc_malformed_messages_total",
                                 "Messages that are no ProcessingRequest.")),
      oversized(registry.counter("llmd_extproc_oversized_messages_total",
                                 "Messages that are larger than --grpc-max-recv-msg-size.")),
      held_bytes(
          registry.gauge("llmd_extproc_held_bytes", "Bytes of request bodies that wait to be routed.")),
      unrendered(registry.counter("llmd_extproc_unrendered_requests_total",
                                  "Requests that an engine was asked to tokenise, and did not.")),
      request_seconds(registry.histogram("llm_d_epp_request_processing_duration_seconds",
                                         "From a request's headers to its decision.", kSeconds)),
      response_seconds(registry.histogram("llm_d_epp_response_processing_duration_seconds",
                                          "Work on the last message of an answer.", kSeconds)),
      rewrites_(registry.counters("llm_d_epp_model_rewrite_decisions_total", std::string(kRewriteHelp),
                                  {"model_rewrite_name", "model_name", "target_model"})),
      rewrites_older_(registry.counters("inference_extension_model_rewrite_decisions_total",
                                        std::string(kRewriteHelp),
                                        {"model_rewrite_name", "model_name", "target_model"})) {
  auto& ended = registry.counters("llmd_extproc_streams_ended_total", "How streams ended.", {"how"});
  answered = ended.with({"answered"});
  closed = ended.with({"closed"});
  abandoned = ended.with({"abandoned"});
}

ServiceMetrics::Streams::Streams(metrics::Registry& registry)
    : inflight(registry.gauge("llm_d_epp_extproc_streams_inflight", "ext_proc streams that are open.")),
      seconds(registry.histogram("llm_d_epp_extproc_stream_duration_seconds", "Life of ext_proc streams.")),
      ended(registry.counters("llm_d_epp_extproc_streams_total", "ext_proc streams that ended.", {"code"})) {}

void ServiceMetrics::rewritten(std::string_view rewrite, std::string_view model, std::string_view target) {
  for (auto* family : {&rewrites_, &rewrites_older_}) {
    family->with({rewrite, model, target})->add();
  }
}

Service::Shared::Shared(std::shared_ptr<const Pools> used, ServiceMetrics& counted, ServiceOptions chosen)
    : pools(std::move(used)), metrics(counted), options(std::move(chosen)) {}

Service::Shared::Shared(const picker::Picker& used, ServiceMetrics& counted, ServiceOptions chosen)
    : Shared(std::make_shared<const Pools>(used), counted, std::move(chosen)) {}

// A proxy with response_trailer_mode SKIP ends the stream at the headers, while the engine still works: its
// load is then invisible. The messages do not say so, but it shows when no answer ever takes any time.
void Service::Shared::answer_hidden(Duration since_headers) {
  constexpr int kSuspicious = 64;
  if (since_headers > std::chrono::milliseconds(2)) {
    short_in_a_row = 0;
    return;
  }
  metrics.short_answers.add();
  if (++short_in_a_row == kSuspicious && !std::exchange(warned_short, true)) {
    log::warning("the proxy ends every stream at the response headers: load is not counted to the end",
                 {{"advice", "set response_trailer_mode: SEND"}});
  }
}

Service::Service(async::EventLoop& loop, std::shared_ptr<const Pools> pools, ServiceMetrics& metrics,
                 ServiceOptions options)
    : shared_(std::make_unique<Shared>(std::move(pools), metrics, std::move(options))) {
  shared_->renderers.start_on(loop);
}

Service::~Service() = default;

Task<void> Service::run() {
  co_await shared_->renderers.keep_warm(*shared_->pools);
}

void Service::add_to(http::GrpcServer& server) {
  server.add(std::string(envoy::kProcessMethod), [shared = shared_.get()](http::GrpcCall& call) {
    return std::make_unique<Stream>(*shared, call);
  });
}

}  // namespace llmd::extproc
