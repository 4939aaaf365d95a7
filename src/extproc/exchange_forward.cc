// The part of an exchange that tells the proxy where the request goes, and gives its body back.
#include <algorithm>
#include <array>
#include <limits>

#include "extproc/exchange.h"

namespace llmd::extproc {
namespace {

using envoy::HeaderFieldView;

constexpr std::size_t kQueuedEnough = 128 * 1024;

// Headers that only the picker may set: a client's own must not steer engines and sidecars.
constexpr std::array<std::string_view, 4> kOurHeaders = {"x-prefiller-host-port", "x-encoder-hosts-ports",
                                                         "x-data-parallel-host-port",
                                                         "x-kv-cache-source-host-port"};

}  // namespace

void Exchange::send_answer() {
  call_->send(shared_.answer);
}

void Exchange::send_decision() {
  destinations_ = decision_->destinations();
  std::vector<HeaderFieldView> set;
  std::vector<std::string_view> remove;
  set.emplace_back(shared_.options.destination_header, destinations_);
  const std::string length = std::to_string(body_.size());
  if (duplex_request() && !body_.empty()) {
    set.emplace_back("content-length", length);
  }
  if (!request_id_.empty()) {
    set.emplace_back("x-request-id", request_id_);
  }
  for (const auto& edit : decision_->headers.edits()) {
    if (edit.remove) {
      remove.push_back(edit.name);
    } else {
      set.emplace_back(edit.name, edit.value);
    }
  }
  for (const std::string_view name : kOurHeaders) {
    const auto edits = decision_->headers.edits();
    if (headers_.find(name) &&
        std::ranges::find(edits, name, &picker::HeaderEdits::Edit::name) == edits.end()) {
      remove.push_back(name);
    }
  }
  const std::string context = spans_.context_to_send();
  if (!context.empty()) {
    set.emplace_back(trace::kTraceparent, context);
  }
  shared_.metrics.request_seconds.observe(
      std::chrono::duration<double>(shared_.options.clock->now() - received_).count());
  const std::array metadata{envoy::MetadataText{shared_.options.destination_namespace,
                                                shared_.options.destination_header, destinations_}};
  std::vector<std::pair<std::string, double>> scores;
  for (const auto& [endpoint, score] : decision_->scores) {
    scores.emplace_back(endpoint->destination, score);
  }
  envoy::CommonAnswer answer{
      .headers = {.set = set, .remove = remove}, .clear_route_cache = true, .metadata = metadata};
  if (!scores.empty()) {
    answer.metadata_numbers = envoy::MetadataNumbers{shared_.options.destination_namespace,
                                                     "x-gateway-destination-endpoint-scores", scores};
  }
  shared_.answer.clear();
  if (headers_only_ || waits_for_body()) {
    envoy::append_answer(shared_.answer, Part::RequestHeaders, answer);
    send_answer();
  } else {
    envoy::append_body_replaced(shared_.answer, Part::RequestBody, answer,
                                body_changed_ ? std::optional(body_.joined()) : std::nullopt);
    send_answer();
    release_body();
    return;
  }
  if (!headers_only_ && !duplex_request()) {
    answer_held_messages();
  } else if (!headers_only_) {
    send_request_body(kQueuedEnough);
  }
}

// STREAMED: every message of the body is answered by one. A body that has changed leaves with the first.
void Exchange::answer_held_messages() {
  for (std::size_t i = 0; i < held_messages_; ++i) {
    shared_.answer.clear();
    if (body_changed_) {
      envoy::append_body_replaced(shared_.answer, Part::RequestBody, {},
                                  i == 0 ? std::string_view(body_.joined()) : std::string_view());
    } else {
      envoy::append_body_unchanged(shared_.answer, Part::RequestBody);
    }
    send_answer();
  }
  release_body();
  answer_pending_trailers();
}

void Exchange::answer_pending_trailers() {
  if (std::exchange(trailers_pending_, false)) {
    shared_.answer.clear();
    envoy::append_trailers_answer(shared_.answer, Part::RequestTrailers);
    send_answer();
  }
}

// The first bytes of a body, as one message.
void Exchange::send_piece(Part part, BodyPieces& body, bool end_of_stream) {
  const envoy::StreamedBody frame(part, std::min(body.size(), kPieceBytes), end_of_stream);
  auto& pieces = shared_.pieces;
  pieces.clear();
  pieces.push_back({frame.head()});
  body.take(kPieceBytes, pieces);
  pieces.push_back({frame.tail()});
  call_->send(pieces);
  pieces.clear();
}

// As much as the proxy takes; drained() goes on.
void Exchange::send_request_body(std::size_t queue_at_most) {
  bool more = true;
  body_begun_ = true;
  while (more && call_->queued() < queue_at_most) {
    more = body_.size() > kPieceBytes;
    shared_.held -= std::min(body_.size(), kPieceBytes);
    send_piece(Part::RequestBody, body_, !more && !trailers_pending_);
  }
  if (more) {
    return;
  }
  release_body();
  step_ = Step::Answering;
  answer_pending_trailers();
}

void Exchange::drained() {
  if (step_ == Step::Decided && body_begun_) {
    send_request_body(kQueuedEnough);
  }
}

// An engine may answer before it has read everything, and a proxy may say that it is done while it still
// reads: the stream ends with the whole body all the same. It is in memory already, so it costs no more in
// the queue.
void Exchange::send_rest_of_body() {
  if (call_ != nullptr && step_ == Step::Decided && body_begun_) {
    send_request_body(std::numeric_limits<std::size_t>::max());
  }
}

}  // namespace llmd::extproc
