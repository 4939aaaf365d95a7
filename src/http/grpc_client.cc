#include "http/grpc_client.h"

#include <array>
#include <deque>

#include "async/event.h"
#include "base/strings.h"
#include "http/grpc_frame.h"
#include "http/http2_client_connection.h"

namespace llmd::http {
namespace {

using async::Deadline;

GrpcStatus status_of(const Headers& fields) {
  const auto code = parse_integer(fields.find("grpc-status").value_or("2"));
  return {static_cast<GrpcCode>(code.value_or(2)),
          decode_grpc_message(fields.find("grpc-message").value_or("the server gave no status"))};
}

class CallState final : public StreamHandler {
 public:
  CallState(Executor executor, std::size_t max_message_bytes)
      : changed(executor), deframer_(max_message_bytes) {}

  void on_response(ResponseHead head) override {
    if (head.headers.has("grpc-status")) {
      status = status_of(head.headers);
    } else if (head.status != 200) {
      status = {GrpcCode::Unavailable, fmt::format("the server answered with HTTP status {}", head.status)};
    }
    changed.set();
  }
  void on_data(std::string_view bytes) override {
    deframer_.feed(bytes);
    while (!broken) {
      auto message = deframer_.next();
      if (!message) {
        broken = message.error();
      } else if (*message) {
        messages.emplace_back(**message);
      } else {
        break;
      }
    }
    owed_ += bytes.size();
    open_window();
    changed.set();
  }
  // While messages wait to be received, the server may not send more than the window.
  void open_window() {
    if (messages.empty() && stream != nullptr && owed_ > 0) {
      stream->consumed(std::exchange(owed_, 0));
      stream->flush();
    }
  }
  void on_trailers(Headers trailers) override { status = status_of(trailers); }
  void on_end() override { changed.set(); }
  void on_drained() override { changed.set(); }
  void on_closed(bool) override {
    stream = nullptr;
    changed.set();
  }

  Http2Stream* stream = nullptr;
  async::Event changed;
  std::deque<std::string> messages;
  std::optional<GrpcStatus> status;
  std::optional<Error> broken;

 private:
  GrpcDeframer deframer_;
  std::size_t owed_ = 0;
};

class Call final : public GrpcStream {
 public:
  Call(std::shared_ptr<CallState> state, Deadline deadline, std::string name)
      : state_(std::move(state)), deadline_(deadline), name_(std::move(name)) {}
  ~Call() override {
    if (Http2Stream* stream = state_->stream) {
      stream->reset(Http2Error::Cancel);
      stream->flush();
    }
  }

  Task<Result<void>> send(std::string_view message) override {
    if (state_->stream == nullptr || state_->stream->ended()) {
      co_return unavailable("{}: the call is over", name_);
    }
    const auto head = grpc_head(message.size());
    state_->stream->send(std::string_view(head.data(), head.size()));
    state_->stream->send(message);
    state_->stream->flush();
    while (state_->stream != nullptr && state_->stream->queued() >= Http2Stream::kLowMark) {
      LLMD_CO_TRY_VOID(co_await wait());
    }
    co_return Result<void>();
  }
  void half_close() override {
    if (state_->stream != nullptr) {
      state_->stream->end();
      state_->stream->flush();
    }
  }
  Task<Result<std::optional<std::string_view>>> receive() override {
    while (true) {
      if (!state_->messages.empty()) {
        current_ = std::move(state_->messages.front());
        state_->messages.pop_front();
        state_->open_window();
        co_return std::string_view(current_);
      }
      if (state_->broken) {
        co_return Error(*state_->broken).within(name_);
      }
      if (state_->status) {
        if (state_->status->ok()) {
          co_return std::optional<std::string_view>();
        }
        co_return grpc_error(*state_->status).within(name_);
      }
      if (state_->stream == nullptr) {
        co_return unavailable("{}: the connection was lost", name_);
      }
      LLMD_CO_TRY_VOID(co_await wait());
    }
  }

 private:
  Task<Result<void>> wait() {
    state_->changed.reset();
    const bool in_time = co_await state_->changed.wait_until(deadline_);
    if (!in_time) {
      co_return deadline_exceeded("{}: the deadline passed", name_);
    }
    co_return Result<void>();
  }

  std::shared_ptr<CallState> state_;
  Deadline deadline_;
  std::string name_;
  std::string current_;
};

}  // namespace

Result<std::unique_ptr<GrpcStream>> grpc_open(Http2Client& client, std::string path,
                                              GrpcCallOptions options) {
  auto& connection = static_cast<Http2ClientConnection&>(client);
  RequestHead head{.method = "POST", .target = std::move(path), .headers = std::move(options.metadata)};
  head.headers.set("content-type", "application/grpc");
  head.headers.set("te", "trailers");
  if (!options.deadline.is_never()) {
    head.headers.set("grpc-timeout",
                     format_grpc_timeout(options.deadline.time() - std::chrono::steady_clock::now()));
  }
  std::string name = connection.address().to_string() + head.target;
  auto state = std::make_shared<CallState>(connection.executor(), options.max_message_bytes);
  LLMD_TRY(state->stream, connection.open(std::move(head), state, false));
  state->stream->flush();
  return std::make_unique<Call>(std::move(state), options.deadline, std::move(name));
}

Task<Result<std::string>> grpc_call(Http2Client& client, std::string path, std::string_view message,
                                    GrpcCallOptions options) {
  LLMD_CO_TRY(const auto call, grpc_open(client, std::move(path), std::move(options)));
  LLMD_CO_TRY_VOID(co_await call->send(message));
  call->half_close();
  LLMD_CO_TRY(const auto answer, co_await call->receive());
  if (!answer) {
    co_return internal_error("the server ended the call without a message");
  }
  co_return std::string(*answer);
}

}  // namespace llmd::http
