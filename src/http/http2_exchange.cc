#include "http/http2_exchange.h"

#include "base/strings.h"
#include "http/handler_guard.h"
#include "http/head_writer.h"

namespace llmd::http {

using async::Deadline;

Http2Exchange::Http2Exchange(const ServerOptions& options, Http2Stream& stream, net::Address peer,
                             Executor executor)
    : options_(options),
      stream_(&stream),
      request_(stream.take_request()),
      peer_(std::move(peer)),
      changed_(executor),
      gone_event_(executor),
      input_ended_(stream.peer_ended()) {
  continue_due_ = request_.headers.lists("Expect", "100-continue");
  if (stream.oversized()) {
    body_failure_ = Refusal{431, "the request head is larger than the server accepts"};
  } else if (length().value_or(0) > options.max_body_bytes) {
    body_failure_ = Refusal{413, "the request body is larger than the server accepts"};
  }
}

Task<void> Http2Exchange::serve(std::shared_ptr<Http2Exchange> self, const Handler& handler) {
  struct Ending {
    Http2Exchange& exchange;
    ~Ending() {  // also when cancelled: the client must not take half an answer for a whole one
      exchange.on_gone_ = nullptr;
      Http2Stream* stream = exchange.stream_;
      if (stream != nullptr) {
        if (exchange.finished_) {
          stream->refuse_rest();
        } else {
          stream->reset(Http2Error::Internal);
        }
        stream->flush();
      }
    }
  } ending{*self};
  if (!self->body_failure_) {
    co_await run_guarded(handler, *self);
  }
  if (!self->started_) {
    co_await self->refuse(self->body_failure_.value_or(Refusal{500, "the server gave no answer"}));
  }
}

Task<void> Http2Exchange::refuse(Refusal refusal) {
  const std::string body = options_.error_body ? options_.error_body(refusal.status, refusal.reason)
                                               : std::string(refusal.reason) + "\n";
  co_await respond(refusal.status, options_.error_content_type, body);
}

// --- the request body

void Http2Exchange::on_data(std::string_view bytes) {
  received_ += bytes.size();
  const bool too_large = limited_ && received_ > options_.max_body_bytes;
  if (body_failure_ || finished_ || too_large) {
    if (!body_failure_ && !finished_) {
      body_failure_ = Refusal{413, "the request body is larger than the server accepts"};
    }
    stream_->consumed(bytes.size());
  } else {
    arrived_ += bytes;
  }
  changed_.set();
}

void Http2Exchange::on_end() {
  input_ended_ = true;
  changed_.set();
}

void Http2Exchange::on_closed(bool in_order) {
  stream_ = nullptr;
  changed_.set();
  if (!in_order || !finished_) {
    gone_event_.set();
    if (auto callback = std::exchange(on_gone_, nullptr)) {
      callback();
    }
  }
}

std::optional<std::uint64_t> Http2Exchange::length() const {
  if (const auto text = request_.headers.find("Content-Length")) {
    if (const auto number = parse_integer(*text)) {
      return static_cast<std::uint64_t>(*number);
    }
  }
  return input_ended_ && received_ == 0 ? std::optional<std::uint64_t>(0) : std::nullopt;
}

void Http2Exchange::give_back() {
  if (lent_ > 0 && stream_ != nullptr) {
    stream_->consumed(lent_);
    stream_->flush();
  }
  lent_ = 0;
}

Task<Result<std::string_view>> Http2Exchange::next() {
  give_back();
  while (true) {
    if (body_failure_) {
      co_return resource_exhausted("request body: {}", body_failure_->reason);
    }
    if (!arrived_.empty()) {
      current_.clear();
      current_.swap(arrived_);
      lent_ = current_.size();
      co_return std::string_view(current_);
    }
    if (input_ended_) {
      co_return std::string_view();
    }
    if (stream_ == nullptr) {
      co_return unavailable("request body: the client closed the stream");
    }
    if (std::exchange(continue_due_, false) && !started_) {
      stream_->send_continue();
      stream_->flush();
    }
    changed_.reset();
    const auto deadline = limited_ ? Deadline::after(options_.body_idle_timeout) : Deadline::never();
    const bool in_time = co_await changed_.wait_until(deadline);
    if (!in_time) {
      body_failure_ = Refusal{408, "the request body did not arrive in time"};
      co_return deadline_exceeded("request body: the deadline passed");
    }
  }
}

// --- the response

Task<Result<void>> Http2Exchange::begin(ResponseHead head, std::optional<std::uint64_t> length, bool end) {
  if (started_) {
    co_return failed_precondition("the response has been started already");
  }
  started_ = true;
  const bool no_body = head.status == 204 || head.status == 304;
  bodyless_ = no_body || request_.method == "HEAD";
  if (length && !no_body) {
    head.headers.set("content-length", std::to_string(*length));
  }
  if (!head.headers.has("Date")) {
    head.headers.add("date", std::string(date_now()));
  }
  if (!head.headers.has("Server") && !options_.server_header.empty()) {
    head.headers.add("server", options_.server_header);
  }
  if (stream_ == nullptr) {
    co_return cancelled("the client has left");
  }
  stream_->respond(head, end);
  co_return Result<void>();
}

Task<Result<void>> Http2Exchange::drained() {
  if (stream_ != nullptr) {
    stream_->flush();
  }
  const auto too_much = [this] {
    return stream_->ended() ? !stream_->all_sent() : stream_->queued() >= Http2Stream::kLowMark;
  };
  const auto deadline = Deadline::after(options_.write_timeout);
  while (stream_ != nullptr && too_much()) {
    changed_.reset();
    const bool in_time = co_await changed_.wait_until(deadline);
    if (!in_time && stream_ != nullptr) {
      stream_->reset(Http2Error::Cancel);
      stream_->flush();
      co_return deadline_exceeded("the client reading its answer: the deadline passed");
    }
  }
  if (stream_ == nullptr && !finished_) {
    co_return cancelled("the client has left");
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Exchange::respond(ResponseHead head, std::string_view body) {
  const bool empty = body.empty() || head.status == 204 || head.status == 304 || request_.method == "HEAD";
  LLMD_CO_TRY_VOID(co_await begin(std::move(head), body.size(), empty));
  finished_ = true;
  if (!empty) {
    stream_->send(body);
    stream_->end();
  }
  co_return co_await drained();
}

Task<Result<void>> Http2Exchange::start(ResponseHead head, std::string_view first) {
  LLMD_CO_TRY_VOID(co_await begin(std::move(head), std::nullopt, false));
  co_return co_await write(first);
}

Task<Result<void>> Http2Exchange::write(std::string_view bytes) {
  if (!started_ || finished_) {
    co_return failed_precondition("the response is not open for writing");
  }
  if (stream_ == nullptr) {
    co_return cancelled("the client has left");
  }
  if (!bodyless_ && !bytes.empty()) {
    stream_->send(bytes);
  }
  co_return co_await drained();
}

Task<Result<void>> Http2Exchange::finish(std::string_view last) {
  if (!started_ || finished_) {
    co_return failed_precondition("the response is not open for writing");
  }
  if (stream_ == nullptr) {
    co_return cancelled("the client has left");
  }
  if (!bodyless_ && !last.empty()) {
    stream_->send(last);
  }
  if (trailers_out_.size() > 0) {
    stream_->end(std::move(trailers_out_));
  } else {
    stream_->end();
  }
  finished_ = true;
  co_return co_await drained();
}

// --- the client

Task<void> Http2Exchange::client_gone() {
  co_await gone_event_.wait();
}

void Http2Exchange::on_client_gone(std::function<void()> callback) {
  if (callback && stream_ == nullptr) {
    callback();
    return;
  }
  on_gone_ = std::move(callback);
}

}  // namespace llmd::http
