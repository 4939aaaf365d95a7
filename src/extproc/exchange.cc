#include "extproc/exchange.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "crypto/random.h"

namespace llmd::extproc {
namespace {

using envoy::BodyMode;

std::string make_request_id() {
  std::string hex = crypto::random_hex(16);
  hex[12] = '4';  // UUID version 4
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

// What gRPC calls the ends that a call comes to by itself.
std::string_view name_of(http::GrpcCode code) {
  switch (code) {
    case http::GrpcCode::ResourceExhausted:
      return "ResourceExhausted";
    case http::GrpcCode::DeadlineExceeded:
      return "DeadlineExceeded";
    case http::GrpcCode::Unimplemented:
      return "Unimplemented";
    case http::GrpcCode::Internal:
      return "Internal";
    default:
      return "Unknown";
  }
}

}  // namespace

Exchange::Exchange(Service::Shared& shared, http::GrpcCall& call) : shared_(shared), call_(&call) {
  shared_.metrics.streams.add();
  shared_.metrics.inflight.add(1);
}

Exchange::~Exchange() {
  release_body();
  shared_.metrics.inflight.add(-1);
}

void Exchange::failed(const http::GrpcStatus& status) {
  ended_as_ = name_of(status.code);
  failure_ = status.message;
  if (status.code == http::GrpcCode::ResourceExhausted) {
    shared_.metrics.oversized.add();
    if (!std::exchange(shared_.warned_oversized, true)) {
      log::warning("a proxy's message is too large, its request fails; said once", {{"problem", failure_}});
    }
  }
}

void Exchange::closed() {
  call_ = nullptr;
  if (gone_) {
    gone_->set();
  }
  stream_ended();
  release_body();
}

// Before an answer has passed to its end. Where answers are not shown, that is how they end (Envoy resets the
// stream then); otherwise the client has left, or the proxy has given up.
void Exchange::stream_ended() {
  if (step_ != Step::Done && answer_began_ && failure_.empty() && modes_.response_body == BodyMode::None) {
    shared_.answer_hidden(shared_.options.clock->now() - answered_at_);
    shared_.metrics.closed->add();
    complete();
  } else if (step_ != Step::Done) {
    shared_.metrics.abandoned->add();
    ended_as_ = ended_as_ == "OK" ? "Canceled" : ended_as_;
    spans_.fail(failure_.empty() ? "the client left, or the proxy gave up" : failure_);
    decision_.reset();
  }
  spans_.end();
  step_ = Step::Done;
}

void Exchange::half_closed() {
  half_closed_ = true;
  if (step_ == Step::Deciding) {
    return;  // decided() comes back here
  }
  send_rest_of_body();
  send_echo(true);
  stream_ended();
  call_->finish({});
}

void Exchange::message(std::string_view bytes) {
  envoy::ProcessingRequest& message = shared_.message;
  if (const auto parsed = envoy::parse_request(bytes, message); !parsed) {
    shared_.metrics.malformed.add();
    ended_as_ = "InvalidArgument";
    failure_ = parsed.error().message;
    if (gone_) {
      gone_->set();
    }
    stream_ended();
    call_->finish({http::GrpcCode::InvalidArgument, failure_});
    return;
  }
  if (step_ == Step::Done || message.observability_mode) {
    return;
  }
  if (message.protocol_config && !std::exchange(modes_known_, true)) {
    modes_ = *message.protocol_config;
  }
  if (!message.metadata_context.empty() && !answer_began_) {
    metadata_ = message.metadata_context;
  }
  switch (message.part) {
    case Part::RequestHeaders:
      return request_headers(bytes);
    case Part::RequestBody:
      return request_body();
    case Part::RequestTrailers:
      return request_trailers();
    case Part::ResponseHeaders:
      return response_headers();
    case Part::ResponseBody:
      return response_body();
    case Part::ResponseTrailers:
      return response_trailers();
    case Part::Nothing:
      return;
  }
}

// --- the request

bool Exchange::buffers_request() const {
  return modes_.request_body == BodyMode::Buffered || modes_.request_body == BodyMode::BufferedPartial;
}

// The headers are answered together with the body, because the body decides.
bool Exchange::waits_for_body() const {
  return duplex_request() || (modes_.request_body == BodyMode::Streamed && modes_.body_without_waiting);
}

void Exchange::request_headers(std::string_view bytes) {
  const bool last = shared_.message.end_of_stream;
  received_ = shared_.options.clock->now();
  constexpr std::uint64_t kMeasureOneOf = 16;
  const std::uint64_t number = shared_.requests++;
  measured_ = number % kMeasureOneOf != 0 ? 0 : number == 0 ? 1 : kMeasureOneOf;
  headers_.assign(bytes, shared_.message);
  if (headers_.find("x-request-id").value_or("").empty()) {
    request_id_ = make_request_id();
  }
  if (shared_.options.tracer != nullptr) {
    spans_.begin(*shared_.options.tracer, headers_.find(trace::kTraceparent));
  }
  if (step_ == Step::Begin) {
    step_ = Step::Collecting;
  }
  if (last || (!buffers_request() && !waits_for_body())) {
    headers_only_ = true;
    decide_by_headers();
  } else if (buffers_request()) {
    shared_.answer.clear();
    envoy::append_answer(shared_.answer, Part::RequestHeaders, {});
    send_answer();
  }
}

void Exchange::request_body() {
  const std::string_view body = shared_.message.body;
  const bool last = shared_.message.end_of_stream;
  if (step_ == Step::Begin) {
    step_ = Step::Collecting;
  }
  if (step_ != Step::Collecting) {  // decided by the headers: the body just passes
    shared_.answer.clear();
    envoy::append_body_unchanged(shared_.answer, Part::RequestBody);
    send_answer();
    return;
  }
  if (!hold(body)) {
    return;
  }
  {
    const ParseTimer timer(measured_ > 0 ? &request_parsing_ : nullptr);
    scan_.feed(body);
  }
  ++held_messages_;
  // A proxy that buffers sends one message. It is not the end where trailers follow, and they come only when
  // it has been answered.
  if (last || buffers_request()) {
    body_complete_ = true;
    decide();
  }
}

void Exchange::request_trailers() {
  if (step_ == Step::Collecting && !body_complete_) {
    body_complete_ = true;
    trailers_pending_ = true;
    decide();
  } else if (step_ == Step::Deciding || !body_.empty()) {
    trailers_pending_ = true;
  } else {
    shared_.answer.clear();
    envoy::append_trailers_answer(shared_.answer, Part::RequestTrailers);
    send_answer();
  }
}

// False: there is no room, and the request has been refused.
bool Exchange::hold(std::string_view body) {
  if (body_.size() + body.size() > shared_.options.max_body_bytes) {
    reject(413, "BadRequest", "the request body is larger than the picker accepts");
    return false;
  }
  if (shared_.held + body.size() > shared_.options.held_bytes) {
    reject(503, "ServiceUnavailable", "too many request bodies wait to be routed");
    return false;
  }
  shared_.held += body.size();
  shared_.metrics.held_bytes.set(static_cast<double>(shared_.held));
  body_.append(body, call_);
  return true;
}

void Exchange::release_body() {
  shared_.held -= body_.size();
  shared_.metrics.held_bytes.set(static_cast<double>(shared_.held));
  body_.clear();
}

}  // namespace llmd::extproc
