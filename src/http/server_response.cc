// The answering half of a server's connection.
#include <array>

#include "base/strings.h"
#include "http/head_writer.h"
#include "http/server_connection.h"
#include "http/upgraded_stream.h"

namespace llmd::http {

using async::Deadline;

void ServerConnection::begin_response(const ResponseHead& head, std::optional<std::uint64_t> length) {
  started_ = true;
  const bool no_body = head.status < 200 || head.status == 204 || head.status == 304;
  bodyless_ = no_body || request_.head.method == "HEAD";
  const bool upload_goes_on = !source_.done() && (continue_due_ || request_.framing.length > kWorthDraining);
  keep_alive_ = request_.keep_alive && !context_.draining && !upload_goes_on && !body_failure_ &&
                !head.headers.lists("Connection", "close");
  chunked_ = !length && !no_body && !request_.http_1_0;
  if (!length && !no_body && request_.http_1_0) {
    keep_alive_ = false;  // the end of the connection is the end of the body
  }
  announced_left_ = length;
  out_.clear();
  append_response(out_, head,
                  {.content_length = no_body ? std::nullopt : length,
                   .chunked = chunked_,
                   .keep_alive = keep_alive_,
                   .http_1_0 = request_.http_1_0},
                  context_.options.server_header);
}

Task<Result<void>> ServerConnection::send(std::span<const std::string_view> pieces) {
  if (gone_) {
    co_return cancelled("the client has left");
  }
  stream_->set_deadline(Deadline::after(context_.options.write_timeout), "the client reading its answer");
  auto written = co_await stream_->write(pieces);
  stream_->set_deadline(Deadline::never(), "client");
  if (!written) {
    lost_client();
  }
  co_return written;
}

Task<Result<void>> ServerConnection::respond(ResponseHead head, std::string_view body) {
  if (started_) {
    co_return failed_precondition("the response has been started already");
  }
  begin_response(head, body.size());
  finished_ = true;
  const std::array<std::string_view, 2> pieces{out_, bodyless_ ? std::string_view() : body};
  co_return co_await send(pieces);
}

Task<Result<void>> ServerConnection::start(ResponseHead head, std::string_view first) {
  if (started_) {
    co_return failed_precondition("the response has been started already");
  }
  std::optional<std::uint64_t> length;
  if (const auto announced = head.headers.find("Content-Length")) {
    const auto number = parse_integer(*announced);
    if (!number || *number < 0) {
      co_return internal_error("response: Content-Length '{}' is not a number", *announced);
    }
    length = static_cast<std::uint64_t>(*number);
  }
  begin_response(head, length);
  co_return co_await send_body_piece(out_, first, false);
}

Task<Result<void>> ServerConnection::write(std::string_view bytes) {
  co_return co_await send_body_piece({}, bytes, false);
}

Task<Result<void>> ServerConnection::finish(std::string_view last) {
  if (announced_left_ && *announced_left_ != last.size() && !bodyless_) {
    co_return internal_error("response: {} bytes are missing from what Content-Length announced",
                             *announced_left_ - last.size());
  }
  auto sent = co_await send_body_piece({}, last, true);
  finished_ = sent.has_value();
  co_return sent;
}

// RFC 9110, section 6.5.1: for clients that say they read them.
void ServerConnection::set_trailers(Headers trailers) {
  body_end_.clear();
  if (trailers.size() > 0 && request_.head.headers.lists("TE", "trailers")) {
    append_chunked_end(body_end_, trailers);
  }
}

Task<Result<void>> ServerConnection::send_body_piece(std::string_view head, std::string_view bytes,
                                                     bool last) {
  if (!started_ || finished_) {
    co_return failed_precondition("the response is not open for writing");
  }
  if (bodyless_) {
    bytes = {};
  }
  if (announced_left_ && bytes.size() > *announced_left_) {
    co_return internal_error("response: more bytes than Content-Length announced");
  }
  if (announced_left_) {
    *announced_left_ -= bytes.size();
  }
  const bool framed = chunked_ && !bodyless_;
  std::array<char, 20> space;
  std::array<std::string_view, 5> pieces;
  std::size_t count = 0;
  if (!head.empty()) {
    pieces[count++] = head;
  }
  if (!bytes.empty()) {
    if (framed) {
      pieces[count++] = chunk_size_line(bytes.size(), space);
    }
    pieces[count++] = bytes;
    if (framed) {
      pieces[count++] = "\r\n";
    }
  }
  if (framed && last) {
    pieces[count++] = body_end_.empty() ? std::string_view("0\r\n\r\n") : std::string_view(body_end_);
  }
  if (count == 0) {
    co_return Result<void>();
  }
  co_return co_await send(std::span(pieces).first(count));
}

std::string ServerConnection::take_unread() {
  std::string unread(buffer_.unread());
  buffer_.consume(unread.size());
  unread.append(ahead_.get(), std::exchange(ahead_size_, 0));
  return unread;
}

std::unique_ptr<net::Stream> ServerConnection::upgrade() {
  std::string leftover = take_unread();
  return std::make_unique<UpgradedStream>(std::move(stream_), std::move(leftover));
}

}  // namespace llmd::http
