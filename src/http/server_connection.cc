#include "http/server_connection.h"

#include "http/handler_guard.h"

namespace llmd::http {
namespace {

using async::Deadline;

// Enough for a usual request, so that reading ahead saves the read that would follow.
constexpr std::size_t kAheadBytes = 4 * 1024;
constexpr auto kLingerTime = std::chrono::seconds(2);

Refusal refusal_of(const Error& error) {
  return error.kind == ErrorKind::DeadlineExceeded ? Refusal{408, "the request body did not arrive in time"}
                                                   : Refusal{400, "the request body is incomplete"};
}

}  // namespace

ServerConnection::ServerConnection(Context context, std::unique_ptr<net::Stream> stream, Executor executor)
    : context_(context),
      stream_(std::move(stream)),
      peer_(stream_->peer_address()),
      source_(buffer_),
      changed_(executor),
      leavers_(executor) {}

Task<void> ServerConnection::serve() {
  while (!gone_) {
    idle_ = true;
    const bool received = co_await receive_head();
    if (!received) {
      co_return;
    }
    co_await handle();
    if (stream_ == nullptr || gone_) {
      co_return;  // upgraded, or nobody is there to say goodbye to
    }
    if (!finished_) {
      stream_->close();  // cut off visibly: the client must not take half an answer for a whole one
      co_return;
    }
    const bool clean = co_await clear_request_body();
    if (!keep_alive_ || !clean) {
      co_await (clean ? stream_->shutdown() : linger());
      co_return;
    }
    buffer_.shrink_when_empty();
  }
}

// --- reading requests

void ServerConnection::reset_exchange() {
  started_ = finished_ = chunked_ = bodyless_ = continue_due_ = false;
  announced_left_.reset();
  body_end_.clear();
  body_failure_.reset();
  prefetched_ = {};
  buffer_.let_go();
  request_.head.method.clear();
  request_.http_1_0 = false;
}

Task<bool> ServerConnection::receive_head() {
  reset_exchange();
  scanner_.reset();
  take_what_was_read_ahead();
  bool head_began = false;
  stream_->set_deadline(Deadline::after(context_.options.idle_timeout), "the next request");
  while (true) {
    const auto size = scanner_.scan(buffer_.unread());
    if (!size) {
      co_await refuse(size.error());
      co_return false;
    }
    if (*size && **size == 2) {  // empty lines before a request are allowed
      buffer_.consume(2);
      scanner_.reset();
      continue;
    }
    if (*size && is_http2_preface(**size)) {
      found_http2_ = true;
      co_return false;
    }
    if (*size && **size <= context_.options.max_header_bytes) {
      co_return co_await accept_head(**size);
    }
    if (buffer_.unread().size() > context_.options.max_header_bytes) {
      co_await refuse({431, "the request head is larger than the server accepts"});
      co_return false;
    }
    if (!head_began && !buffer_.unread().empty()) {
      head_began = true;
      idle_ = false;
      stream_->set_deadline(Deadline::after(context_.options.header_timeout), "the request head");
    }
    const bool more = co_await read_more_of_head(head_began);
    if (!more) {
      co_return false;
    }
  }
}

// RFC 9113, section 3.4: looks like a head of HTTP/1, so that servers without HTTP/2 refuse it.
bool ServerConnection::is_http2_preface(std::size_t size) const {
  static constexpr std::string_view kBegin = "PRI * HTTP/2.0\r\n\r\n";
  return size == kBegin.size() && buffer_.unread().starts_with(kBegin);
}

// False when the connection is over.
Task<bool> ServerConnection::read_more_of_head(bool head_began) {
  if (reading_ahead_) {
    co_await changed_.wait();
    take_what_was_read_ahead();
    co_return !gone_;
  }
  const std::span<char> room = buffer_.room(1024);
  const auto size = co_await stream_->read_some(room);
  if (size && *size > 0) {
    buffer_.added(*size);
    co_return true;
  }
  if (!size && head_began && size.error().kind == ErrorKind::DeadlineExceeded) {
    co_await refuse({408, "the request head did not arrive in time"});
  }
  co_return false;
}

Task<bool> ServerConnection::accept_head(std::size_t size) {
  idle_ = false;
  const auto refusal = parse_request(buffer_.unread().substr(0, size), request_);
  buffer_.consume(size);
  if (refusal) {
    co_await refuse(*refusal);
    co_return false;
  }
  if (request_.framing.length > context_.options.max_body_bytes) {
    co_await refuse({413, "the request body is larger than the server accepts"});
    co_return false;
  }
  source_.start(request_.framing);
  continue_due_ = request_.expects_continue;
  co_return true;
}

Task<void> ServerConnection::handle() {
  co_await run_guarded(context_.handler, *this);
  watching_ = false;
  on_gone_ = nullptr;
  if (!started_ && stream_ != nullptr && !gone_) {
    co_await answer_for_handler();
  }
}

Task<void> ServerConnection::answer_for_handler() {
  co_await refuse(body_failure_.value_or(Refusal{500, "the server gave no answer"}));
}

Task<void> ServerConnection::refuse(Refusal refusal) {
  const auto& make_body = context_.options.error_body;
  const std::string body =
      make_body ? make_body(refusal.status, refusal.reason) : std::string(refusal.reason) + "\n";
  ResponseHead head{refusal.status,
                    {{"Content-Type", context_.options.error_content_type}, {"Connection", "close"}}};
  const auto sent = co_await respond(std::move(head), body);
  if (sent) {
    co_await linger();
  }
}

// Closing while bytes of the client are unread would reset the connection, and the client would lose our
// answer.
Task<void> ServerConnection::linger() {
  co_await stream_->shutdown();
  stream_->set_deadline(Deadline::after(kLingerTime), "the client closing");
  while (!reading_ahead_) {
    buffer_.consume(buffer_.unread().size());
    const std::span<char> room = buffer_.room(4096);
    const auto size = co_await stream_->read_some(room);
    if (!size || *size == 0) {
      break;
    }
  }
  stream_->close();
}

// True when the next request can follow.
Task<bool> ServerConnection::clear_request_body() {
  if (source_.done()) {
    co_return true;
  }
  if (continue_due_ || body_failure_ || !keep_alive_) {
    co_return false;
  }
  const std::uint64_t limit = source_.received() + kWorthDraining;
  while (!source_.done()) {
    const auto piece = co_await next();
    if (!piece || source_.received() > limit) {
      co_return false;
    }
  }
  co_return true;
}

// --- the request body

std::optional<std::uint64_t> ServerConnection::length() const {
  if (request_.framing.kind == Framing::Kind::Chunked) {
    return std::nullopt;
  }
  return request_.framing.length;
}

Result<std::string_view> ServerConnection::take_body() {
  const auto piece = source_.take();
  if (!piece) {
    body_failure_ = piece.error();
    return invalid_argument("request body: {}", piece.error().reason);
  }
  if (source_.received() > context_.options.max_body_bytes) {
    body_failure_ = Refusal{413, "the request body is larger than the server accepts"};
    return resource_exhausted("request body: more than {} bytes", context_.options.max_body_bytes);
  }
  if (source_.done() && watching_) {
    read_ahead();
  }
  return *piece;
}

bool ServerConnection::ready() {
  if (prefetched_.empty() && !source_.done() && !body_failure_) {
    prefetched_ = take_body().value_or(std::string_view());
  }
  return !prefetched_.empty() || source_.done() || body_failure_;
}

Task<Result<std::string_view>> ServerConnection::next() {
  if (!prefetched_.empty()) {
    co_return std::exchange(prefetched_, std::string_view());
  }
  while (true) {
    LLMD_CO_TRY(const std::string_view piece, take_body());
    if (!piece.empty() || source_.done()) {
      co_return piece;
    }
    if (continue_due_) {
      continue_due_ = false;
      static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      LLMD_CO_TRY_VOID(co_await send(std::span(&kContinue, 1)));
    }
    stream_->set_deadline(Deadline::after(context_.options.body_idle_timeout), "the request body");
    const std::span<char> room = source_.room();
    auto size = co_await stream_->read_some(room);
    stream_->set_deadline(Deadline::never(), "client");
    if (!size) {
      body_failure_ = refusal_of(size.error());
      co_return std::unexpected(std::move(size).error().within("request body"));
    }
    if (*size == 0) {
      body_failure_ = Refusal{400, "the request body is incomplete"};
      lost_client();
      co_return unavailable("request body: the client closed the connection");
    }
    buffer_.added(*size);
  }
}

// --- noticing a client that leaves: the next request is read while the handler works

void ServerConnection::read_ahead() {
  if (reading_ahead_ || gone_ || ahead_size_ > 0) {
    return;
  }
  if (!ahead_) {
    ahead_ = std::make_unique_for_overwrite<char[]>(kAheadBytes);
  }
  reading_ahead_ = true;
  stream_->start_read({ahead_.get(), kAheadBytes},
                      [this](Result<std::size_t> size) { read_ahead_done(std::move(size)); });
}

void ServerConnection::read_ahead_done(Result<std::size_t> size) {
  reading_ahead_ = false;
  if (!size || *size == 0) {
    lost_client();
  } else {
    ahead_size_ = *size;  // a pipelined request, or the next one
  }
  changed_.resume_first_now();
}

void ServerConnection::take_what_was_read_ahead() {
  if (ahead_size_ > 0) {
    const std::span<char> room = buffer_.room(ahead_size_);
    std::memcpy(room.data(), ahead_.get(), ahead_size_);
    buffer_.added(std::exchange(ahead_size_, 0));
  }
}

void ServerConnection::lost_client() {
  gone_ = true;
  leavers_.resume_all();
  if (auto callback = std::exchange(on_gone_, nullptr)) {
    callback();
  }
}

void ServerConnection::on_client_gone(std::function<void()> callback) {
  on_gone_ = std::move(callback);
  watching_ = static_cast<bool>(on_gone_);
  if (watching_ && source_.done()) {
    read_ahead();
  }
}

Task<void> ServerConnection::client_gone() {
  watching_ = true;
  if (source_.done()) {
    read_ahead();
  }
  while (!gone_) {
    if (reading_ahead_ || !source_.done()) {
      co_await leavers_.wait();  // body reads and writes notice, too
    } else if (stream_->peer_gone()) {
      lost_client();  // pipelined requests fill the buffer: all that is left is to ask now and then
    } else {
      co_await async::sleep(std::chrono::milliseconds(100));
    }
  }
}

}  // namespace llmd::http
