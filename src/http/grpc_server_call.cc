#include "http/grpc_server_call.h"

#include <array>

namespace llmd::http {
namespace {

constexpr std::size_t kMaxQueued = 1024 * 1024;

const ResponseHead& response_head() {
  static const ResponseHead kHead{200, {{"content-type", "application/grpc"}}};
  return kHead;
}

Headers trailers_of(const GrpcStatus& status) {
  Headers trailers{{"grpc-status", std::to_string(static_cast<int>(status.code))}};
  if (!status.message.empty()) {
    trailers.add("grpc-message", encode_grpc_message(status.message));
  }
  return trailers;
}

}  // namespace

GrpcServerCall::GrpcServerCall(Http2Stream& stream, Http2Connection& connection,
                               const GrpcServerOptions& options, std::size_t& calls)
    : stream_(&stream),
      connection_(connection),
      options_(options),
      calls_(calls),
      request_(stream.take_request()),
      deframer_(options.max_message_bytes) {
  ++calls_;
}

void GrpcServerCall::begin(const GrpcMethod* method) {
  const auto type = request_.headers.find("content-type").value_or("");
  if (request_.method != "POST" || !type.starts_with("application/grpc")) {
    refuse(request_.method != "POST" ? 405 : 415);
    return;
  }
  if (stream_->oversized()) {
    finish({GrpcCode::ResourceExhausted, "the metadata is larger than the server accepts"});
    return;
  }
  if (method == nullptr) {
    finish({GrpcCode::Unimplemented, "unknown method " + request_.target});
    return;
  }
  if (const auto text = request_.headers.find("grpc-timeout")) {
    const auto timeout = parse_grpc_timeout(*text);
    if (!timeout) {
      finish({GrpcCode::Internal, "malformed grpc-timeout"});
      return;
    }
    start_timer(*timeout);
  }
  handler_ = (*method)(*this);
}

void GrpcServerCall::refuse(int status) {
  finished_ = true;
  stream_->respond({status, {}}, true);
  stream_->refuse_rest();
}

void GrpcServerCall::start_timer(Duration timeout) {
  timer_ = std::make_unique<async::Timer>(connection_.executor());
  timer_->expires_after(timeout);
  timer_->async_wait([weak = weak_from_this()](const async::ErrorCode& error) {
    const auto call = weak.lock();
    if (!error && call) {
      call->fail({GrpcCode::DeadlineExceeded, "the deadline of the call passed"});
      call->flush();
      call->release_handler();
    }
  });
}

void GrpcServerCall::begin_answer() {
  if (!std::exchange(head_sent_, true)) {
    stream_->respond(response_head(), false);
  }
}

void GrpcServerCall::send(std::span<const KeptBytes> pieces) {
  if (finished_ || stream_ == nullptr) {
    return;
  }
  begin_answer();
  std::size_t size = 0;
  for (const KeptBytes& piece : pieces) {
    size += piece.bytes.size();
  }
  const auto head = grpc_head(size);
  stream_->send(std::string_view(head.data(), head.size()));
  for (const KeptBytes& piece : pieces) {
    stream_->send(piece);
  }
}

void GrpcServerCall::send_later() {
  if (!finished_ && stream_ != nullptr) {
    begin_answer();
    stream_->send_later();
  }
}

void GrpcServerCall::finish(GrpcStatus status) {
  if (std::exchange(finished_, true) || stream_ == nullptr) {
    return;
  }
  if (head_sent_) {
    stream_->end(trailers_of(status));
    stream_->refuse_rest();
    return;
  }
  ResponseHead head = response_head();  // status and head in one block: "trailers only"
  for (const auto& [name, value] : trailers_of(status)) {
    head.headers.add(name, value);
  }
  stream_->respond(head, true);
  stream_->refuse_rest();
}

void GrpcServerCall::fail(GrpcStatus status) {
  if (handler_ && !finished_) {
    handler_->on_failed(status);
  }
  finish(std::move(status));
}

void GrpcServerCall::flush() {
  if (stream_ != nullptr) {
    stream_->flush();
  }
}

void GrpcServerCall::on_data(std::string_view bytes) {
  deframer_.feed(bytes);
  while (handler_ && !finished_) {
    const auto message = deframer_.next();
    if (!message) {
      GrpcStatus status = grpc_status(message.error());
      if (status.code == GrpcCode::ResourceExhausted && !options_.message_limit_flag.empty()) {
        status.message += fmt::format(" ({})", options_.message_limit_flag);
      }
      fail(std::move(status));
      break;
    }
    if (!*message) {
      break;
    }
    handler_->on_message(**message);
  }
  owed_ += bytes.size();
  open_window();
}

void GrpcServerCall::open_window() {
  if (owed_ > 0 && stream_->queued() < kMaxQueued) {
    stream_->consumed(std::exchange(owed_, 0));
  }
}

void GrpcServerCall::on_end() {
  if (!handler_ || finished_) {
    return;
  }
  if (!deframer_.at_boundary()) {
    fail({GrpcCode::Internal, "the stream ended within a message"});
    return;
  }
  handler_->on_half_close();
}

void GrpcServerCall::on_drained() {
  if (handler_ && !finished_) {
    handler_->on_drained();
  }
  if (stream_ != nullptr) {
    open_window();
  }
}

void GrpcServerCall::on_sending() {
  if (handler_ && !finished_) {
    handler_->on_sending();
  }
}

void GrpcServerCall::on_closed(bool) {
  stream_ = nullptr;
  if (timer_) {
    timer_->cancel();
  }
  release_handler();
}

void GrpcServerCall::release_handler() {
  handler_.reset();
}

}  // namespace llmd::http
