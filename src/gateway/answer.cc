#include "gateway/answer.h"

#include <cstring>

#include "gateway/answer_usage.h"

namespace llmd::gateway {
namespace {

constexpr std::size_t kTail = 4096;
constexpr std::size_t kLongestEvent = 64 * 1024;
constexpr std::string_view kEventStream = "text/event-stream";

bool is_event_stream(const http::ResponseHead& head) {
  return head.headers.find("content-type").value_or("").starts_with(kEventStream);
}

// Events end at empty lines; `last` is the byte before these.
std::int64_t count_events(std::string_view bytes, char last) {
  std::int64_t count = 0;
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while ((at = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)))) !=
         nullptr) {
    const char before = at == bytes.data() ? last : at[-1];
    count += before == '\n' ? 1 : 0;
    if (++at == end) {
      break;
    }
  }
  return count;
}

}  // namespace

void Answer::note_head(http::ResponseHead& head) {
  status_ = head.status;
  stream_ = is_event_stream(head);
  read_ = stream_ || head.headers.find("content-type").value_or("").starts_with("application/json");
  if (!request_id_.empty() && !head.headers.has("x-request-id")) {
    head.headers.add("X-Request-Id", std::string(request_id_));
  }
  if (head.status == 503 && !head.headers.has("retry-after")) {
    head.headers.add("Retry-After", "5");
  }
}

void Answer::note(std::string_view bytes) {
  if (bytes.empty()) {
    return;
  }
  if (bytes_ == 0) {
    first_byte_ = std::chrono::steady_clock::now() - began_;
  }
  bytes_ += bytes.size();
  if (stream_) {
    events_ += count_events(bytes, last_);
    last_ = bytes.back();
  }
  if (!read_) {
    return;
  }
  if (bytes.size() >= kTail) {
    tail_.assign(bytes.substr(bytes.size() - kTail));
  } else {
    if (tail_.size() + bytes.size() > 2 * kTail) {
      tail_.erase(0, tail_.size() - kTail);
    }
    tail_ += bytes;
  }
}

picker::Usage Answer::usage() const {
  return usage_in(tail_);
}

Task<Result<void>> Answer::progress(std::string_view text) {
  std::string comment = ": ";
  comment += text;
  comment += "\n\n";
  if (in_progress_) {
    co_return co_await inner_.write(comment);
  }
  in_progress_ = true;
  http::ResponseHead head{
      200, {{"Content-Type", "text/event-stream; charset=utf-8"}, {"Cache-Control", "no-store"}}};
  if (!request_id_.empty()) {
    head.headers.add("X-Request-Id", std::string(request_id_));
  }
  co_return co_await inner_.start(std::move(head), comment);
}

// One event with the whole payload, and the end that clients of streams wait for.
Task<Result<void>> Answer::finish_with_event(std::string_view payload) {
  std::string event = "data: ";
  for (const char c : payload) {
    event += c;
    if (c == '\n') {
      event += "data: ";
    }
  }
  event += "\n\ndata: [DONE]\n\n";
  co_return co_await inner_.finish(event);
}

Task<Result<void>> Answer::respond(http::ResponseHead head, std::string_view body) {
  note_head(head);
  note(body);
  if (!in_progress_) {
    co_return co_await inner_.respond(std::move(head), body);
  }
  answered_ = true;
  if (stream_ && head.status == 200) {
    co_return co_await inner_.finish(body);
  }
  co_return co_await finish_with_event(body);
}

Task<Result<void>> Answer::start(http::ResponseHead head, std::string_view first) {
  note_head(head);
  if (!in_progress_) {
    note(first);
    co_return co_await inner_.start(std::move(head), first);
  }
  answered_ = true;
  other_shape_ = !stream_ || head.status != 200;
  co_return co_await write(first);
}

Task<Result<void>> Answer::write(std::string_view bytes) {
  if (other_shape_) {
    if (tail_.size() + bytes.size() > kLongestEvent) {
      co_return resource_exhausted("an answer of this size does not fit into one event");
    }
    bytes_ += bytes.size();
    tail_ += bytes;
    co_return Result<void>();
  }
  note(bytes);
  if (bytes.empty()) {
    co_return Result<void>();
  }
  co_return co_await inner_.write(bytes);
}

Task<Result<void>> Answer::finish(std::string_view last) {
  if (other_shape_) {
    LLMD_CO_TRY_VOID(co_await write(last));
    co_return co_await finish_with_event(tail_);
  }
  note(last);
  co_return co_await inner_.finish(last);
}

}  // namespace llmd::gateway
