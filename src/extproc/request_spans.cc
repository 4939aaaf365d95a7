#include "extproc/request_spans.h"

#include <fmt/format.h>

namespace llmd::extproc {

void RequestSpans::begin(const trace::Tracer& tracer, std::optional<std::string_view> traceparent) {
  const auto client = trace::parse_traceparent(traceparent.value_or(""));
  tracer_ = &tracer;
  client_unsampled_ = client && !client->sampled;
  request_ = tracer.start("gateway.request", client, trace::SpanKind::Server);
}

void RequestSpans::begin_deciding(const picker::Request& request) {
  if (!sampled()) {
    return;
  }
  request_.set("gen_ai.request.id", request.id);
  request_.set("url.path", request.path);
  deciding_ = tracer_->start("gateway.request_orchestration", request_.context());
  if (!request.model.empty()) {
    request_.set("gen_ai.request.model", request.model);
    deciding_.set("target_model", request.target());
  }
  deciding_.set("request_prio", request.priority);
  parent_.emplace(*tracer_, deciding_.context());
}

trace::Span RequestSpans::begin_rendering(std::string_view path) const {
  return parent_ ? picker::begin_span(parent(), fmt::format("tokenize_render {}", path)) : trace::Span();
}

void RequestSpans::decided(const picker::Decision& decision) {
  if (!sampled()) {
    return;
  }
  deciding_.set("llm_d.epp.candidate_endpoints", decision.candidates);
  deciding_.set("llm_d.epp.destination_endpoint", decision.destinations());
  if (const picker::EndpointIdentity* prefill = decision.prefill()) {
    deciding_.set("llm_d.epp.prefill_endpoint", prefill->address.to_string());
  }
  deciding_.end();
}

std::string RequestSpans::context_to_send() const {
  return tracer_ == nullptr || client_unsampled_ ? std::string()
                                                 : trace::format_traceparent(request_.context());
}

void RequestSpans::refused(int status, std::string_view why) {
  answered(status);
  if (status >= 400) {
    deciding_.fail(why);
    fail(why);
  }
  end();
}

void RequestSpans::answered(int status) {
  if (status == 0 || !sampled()) {
    return;
  }
  request_.set("http.response.status_code", status);
  if (status >= 500) {
    fail(fmt::format("the engine answered {}", status));
  }
}

void RequestSpans::used(const picker::Usage& usage) {
  if (usage.prompt_tokens) {
    request_.set("gen_ai.usage.input_tokens", *usage.prompt_tokens);
  }
  if (usage.completion_tokens) {
    request_.set("gen_ai.usage.output_tokens", *usage.completion_tokens);
  }
}

void RequestSpans::end() {
  deciding_.end();
  request_.end();
}

}  // namespace llmd::extproc
