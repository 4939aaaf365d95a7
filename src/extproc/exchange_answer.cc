// The half of an exchange that begins when the engine answers.
#include "base/strings.h"
#include "extproc/exchange.h"

namespace llmd::extproc {
namespace {

using envoy::BodyMode;
using envoy::HeaderFieldView;

// The message in hand, as something with find().
struct FieldsOfMessage {
  const std::vector<HeaderFieldView>& fields;
  std::optional<std::string_view> find(std::string_view name) const {
    return HeaderTable::find_in(fields, name);
  }
};

// Envoy's own words where it could not reach the engine: answers that came from one say how long it took.
bool is_local_reply(int status, const FieldsOfMessage& fields) {
  return status == 503 && !fields.find("x-envoy-upstream-service-time");
}

}  // namespace

void Exchange::response_headers() {
  const envoy::ProcessingRequest& message = shared_.message;
  const bool last = message.end_of_stream;
  answer_began_ = true;
  answered_at_ = shared_.options.clock->now();
  const FieldsOfMessage fields{message.headers};
  const auto status = parse_integer(fields.find(":status").value_or("200"));
  status_ = static_cast<int>(status.value_or(200));
  if (fields.find("content-type").value_or("").find("text/event-stream") != std::string_view::npos) {
    usage_.expect_events();
  }
  std::vector<HeaderFieldView> set;
  std::vector<std::string_view> remove;
  picker::HeaderEdits edits;
  std::string explanation;
  if (decision_) {
    if (is_local_reply(status_, fields)) {
      decision_->undelivered();
    }
    decision_->response_headers(status_, picker::HeaderView(fields), edits);
    for (const auto& edit : edits.edits()) {
      if (edit.remove) {
        remove.push_back(edit.name);
      } else {
        set.emplace_back(edit.name, edit.value);
      }
    }
    if (headers_.find("x-llmd-explain").value_or("") == "1") {
      explanation = decision_->explanation();
      set.emplace_back("x-llmd-explanation", explanation);
    }
  }
  if (body_changed_) {
    remove.push_back("content-length");  // the model's name in the body becomes another one
  }
  envoy::CommonAnswer answer{.headers = {.set = set, .remove = remove}};
  if (shared_.options.skip_response_bodies && !last &&
      (modes_.response_body == BodyMode::Streamed || modes_.response_body == BodyMode::Buffered)) {
    answer.response_body_override = BodyMode::None;
  }
  shared_.answer.clear();
  envoy::append_answer(shared_.answer, Part::ResponseHeaders, answer);
  send_answer();
  if (last) {
    shared_.metrics.answered->add();
    complete();
  }
}

void Exchange::response_body() {
  const envoy::ProcessingRequest& message = shared_.message;
  if (decision_ && !message.body.empty()) {
    if (!std::exchange(first_token_, true)) {
      decision_->first_token();
    }
    decision_->piece();
    const ParseTimer timer(measured_ > 0 ? &answer_parsing_ : nullptr);
    usage_.feed(message.body);
  }
  response_bytes_ += message.body.size();
  std::string restored;
  const bool changed = restore_model(message.body, restored);
  const std::string_view body = changed ? std::string_view(restored) : message.body;
  if (modes_.response_body == BodyMode::FullDuplexStreamed) {
    echo_.append(body, changed ? nullptr : call_);
    echo_ends_ = message.end_of_stream;
    if (echo_.size() >= kPieceBytes) {
      send_echo(false);
    }
    call_->send_later();
  } else {
    shared_.answer.clear();
    if (changed) {
      envoy::append_body_replaced(shared_.answer, Part::ResponseBody, {}, body);
    } else {
      envoy::append_body_unchanged(shared_.answer, Part::ResponseBody);
    }
    send_answer();
  }
  if (message.end_of_stream) {
    shared_.metrics.answered->add();
    complete();
  }
}

void Exchange::sending() {
  if (call_ != nullptr) {
    send_echo(true);
  }
}

// Whole pieces, or `all` of it.
void Exchange::send_echo(bool all) {
  while (echo_.size() >= kPieceBytes || (all && (!echo_.empty() || echo_ends_))) {
    const bool last = echo_ends_ && echo_.size() <= kPieceBytes;
    echo_ends_ = echo_ends_ && !last;
    send_piece(Part::ResponseBody, echo_, last);
  }
}

void Exchange::response_trailers() {
  send_echo(true);
  shared_.answer.clear();
  envoy::append_trailers_answer(shared_.answer, Part::ResponseTrailers);
  send_answer();
  shared_.metrics.answered->add();
  complete();
}

// The answer is over: the endpoint is free again, though the stream may stay for a moment.
void Exchange::complete() {
  const TimePoint began = std::chrono::steady_clock::now();
  send_rest_of_body();
  if (decision_) {
    const picker::Usage usage = [this] {
      const ParseTimer timer(measured_ > 0 ? &answer_parsing_ : nullptr);
      return usage_.finish();
    }();
    if (measured_ > 0 && response_bytes_ > 0) {
      pool_->picker->parsed(picker::Picker::Parsed::Response, path(), answer_parsing_, measured_);
    }
    decision_->complete({.cause = picker::EndCause::Natural,
                         .status = status_,
                         .usage = usage,
                         .response_bytes = response_bytes_});
    spans_.used(usage);
    decision_.reset();
    shared_.metrics.response_seconds.observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  spans_.answered(status_);
  spans_.end();
  step_ = Step::Done;
}

}  // namespace llmd::extproc
