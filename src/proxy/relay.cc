#include "proxy/relay.h"

#include "json/path.h"
#include "json/value.h"
#include "openai/error_body.h"
#include "proxy/forwarding.h"
#include "proxy/pace.h"

namespace llmd::proxy {
namespace {

constexpr int kClientLeft = 499;
constexpr int kNotReady = 503;

// The state of one relay, in the frame of relay().
class Relaying {
 public:
  Relaying(http::Exchange& exchange, http::Client& client, Targets& targets, const RelayRequest& request,
           const RelayOptions& options)
      : exchange_(exchange), client_(client), targets_(targets), request_(request), options_(options) {
    exchange_.on_client_gone([this] {
      gone_ = true;
      abort_.abort();
    });
    if (options_.revocation != nullptr) {
      options_.revocation->attach([this] { abort_.abort(); });
    }
  }
  Relaying(const Relaying&) = delete;
  ~Relaying() {
    exchange_.on_client_gone(nullptr);
    if (options_.revocation != nullptr) {
      options_.revocation->attach(nullptr);
    }
  }

  Task<RelayOutcome> run();

 private:
  Task<Result<void>> try_one(const net::Address& address, async::Deadline end);
  Error with_deadline_named(Error error, async::Deadline attempt_end) const;
  Task<Result<void>> not_ready(http::ClientResponse& response, const net::Address& address);
  Task<Result<void>> forward(http::ClientResponse& response);
  Task<Result<void>> forward_rest(http::BodyReader& body);
  Task<void> end_broken_stream(const Error& error);
  bool may_retry(const Error& error) const;
  bool is_revoked() const { return options_.revocation != nullptr && options_.revocation->reason(); }
  void note_end_of(std::string_view piece);

  http::Exchange& exchange_;
  http::Client& client_;
  Targets& targets_;
  const RelayRequest& request_;
  const RelayOptions& options_;
  http::Abort abort_;
  bool gone_ = false;
  bool answered_ = false;  // the upstream has sent the head of its answer
  bool events_ = false;
  bool has_bytes_ = false;    // of the answer's body
  bool at_event_end_ = true;  // the bytes sent so far end between two events
  RelayOutcome outcome_;
};

bool Relaying::may_retry(const Error& error) const {
  if (gone_ || is_revoked() || exchange_.started() || options_.total.expired()) {
    return false;
  }
  // A server that took the request and is slow would be slow elsewhere, too; one that cannot be reached is no
  // loss.
  return error.kind == ErrorKind::Unavailable ||
         (error.kind == ErrorKind::DeadlineExceeded && !abort_.connected());
}

Task<RelayOutcome> Relaying::run() {
  std::optional<Error> failure;
  while (outcome_.attempts < options_.attempts) {
    const auto target = co_await targets_.next();
    if (!target) {
      if (!failure) {
        failure = target.error();
      }
      break;
    }
    ++outcome_.attempts;
    const auto end = options_.attempt ? options_.total.or_after(*options_.attempt) : options_.total;
    auto tried = co_await try_one(*target, end);
    if (tried) {
      outcome_.complete = true;
      co_return outcome_;
    }
    if (is_revoked()) {
      failure = options_.revocation->reason();
      break;
    }
    failure = with_deadline_named(std::move(tried).error(), end);
    const std::string name = target->to_string();
    if (!failure->message.contains(name)) {  // a reset connection no longer knows its peer
      failure = std::move(*failure).within(name);
    }
    if (!may_retry(*failure)) {
      break;
    }
  }
  if (gone_) {
    failure = cancelled("the client has left");
    outcome_.status = kClientLeft;
  } else if (exchange_.started()) {
    co_await end_broken_stream(*failure);
  } else {
    outcome_.status = http_status(failure->kind);
    co_await answer_error(exchange_, *failure);
  }
  outcome_.error = std::move(failure);
  co_return outcome_;
}

// Which of the deadlines it was decides what to do about it.
Error Relaying::with_deadline_named(Error error, async::Deadline attempt_end) const {
  if (error.kind != ErrorKind::DeadlineExceeded) {
    return error;
  }
  const std::string_view name = options_.total.expired() ? "total"
                                : attempt_end.expired()  ? "attempt"
                                : !abort_.connected()    ? "connect"
                                : !answered_             ? "first byte"
                                                         : "idle";
  return std::move(error).within(fmt::format("{} deadline", name));
}

Task<Result<void>> Relaying::try_one(const net::Address& address, async::Deadline end) {
  if (gone_) {
    co_return cancelled("the client has left");
  }
  if (is_revoked()) {
    co_return std::unexpected(*options_.revocation->reason());
  }
  abort_ = {};
  answered_ = false;
  http::ClientRequest call;
  call.address = address;
  call.head = request_.head;
  targets_.prepare(call.head);
  call.content = request_.body;
  call.trailers = request_.trailers;
  call.timeouts = {
      .connect = options_.connect, .first_byte = options_.first_byte, .idle = options_.idle, .total = end};
  call.abort = &abort_;
  LLMD_CO_TRY(const auto response, co_await client_.send(std::move(call)));
  answered_ = true;
  if (response->status() == kNotReady && outcome_.attempts < options_.attempts) {
    co_return co_await not_ready(*response, address);
  }
  co_return co_await forward(*response);
}

// An engine that is loading or full refuses by 503 before it has begun: another endpoint may take the
// request. The engine's own words are kept for the case that none does.
Task<Result<void>> Relaying::not_ready(http::ClientResponse& response, const net::Address& address) {
  constexpr std::size_t kLongestReason = 64 * 1024;
  LLMD_CO_TRY(const auto body, co_await http::read_all(response.body(), kLongestReason));
  const auto parsed = json::parse(body);
  const auto reason = parsed ? json::string_at(*parsed, "error.message") : std::nullopt;
  co_return unavailable("{}: {}", address.to_string(), reason.value_or("answered 503"));
}

void Relaying::note_end_of(std::string_view piece) {
  if (!has_bytes_ && !piece.empty()) {
    has_bytes_ = true;
    targets_.first_byte();
  }
  if (events_ && !piece.empty()) {
    at_event_end_ = piece.ends_with("\n\n") || piece.ends_with("\r\n\r\n");
  }
}

Task<Result<void>> Relaying::forward(http::ClientResponse& response) {
  http::ResponseHead head{response.status(), forwarded_response_headers(response.head().headers)};
  events_ = head.headers.find("content-type").value_or("").starts_with("text/event-stream");
  targets_.answered(head);
  if (request_.edit_response) {
    request_.edit_response(head);
  }
  http::BodyReader& body = response.body();
  std::string_view first;
  if (events_ || body.ready()) {
    LLMD_CO_TRY(first, co_await body.next());
  }
  outcome_.status = head.status;
  note_end_of(first);
  const bool head_only = request_.head.method == "HEAD" || head.status == 204 || head.status == 304;
  if (body.ended() && !head_only && body.trailers() == nullptr) {
    co_return co_await exchange_.respond(std::move(head), first);
  }
  LLMD_CO_TRY_VOID(co_await exchange_.start(std::move(head), first));
  co_return co_await forward_rest(body);
}

Task<Result<void>> Relaying::forward_rest(http::BodyReader& body) {
  Pace pace;
  while (true) {
    if (pace.pauses() && !body.ready()) {
      co_await async::sleep_until(Pace::next_tick());
    }
    const TimePoint asked = std::chrono::steady_clock::now();
    LLMD_CO_TRY(const std::string_view piece, co_await body.next());
    pace.note(std::chrono::steady_clock::now() - asked, piece.size());
    note_end_of(piece);
    if (piece.empty() || body.ended()) {
      if (const http::Headers* trailers = body.trailers()) {
        exchange_.set_trailers(forwarded_trailers(*trailers));
      }
      co_return co_await exchange_.finish(piece);
    }
    LLMD_CO_TRY_VOID(co_await exchange_.write(piece));
  }
}

Task<void> Relaying::end_broken_stream(const Error& error) {
  if (!events_) {
    co_return;  // not finished: the server cuts the connection, which is the only way to say it
  }
  std::string end = at_event_end_ ? "" : "\n\n";
  end += openai::error_event(http_status(error.kind), error.text());
  end += "data: [DONE]\n\n";
  co_await exchange_.finish(end);
}

}  // namespace

Task<void> answer_error(http::Exchange& exchange, const Error& error) {
  if (!exchange.started()) {
    const std::string body = openai::error_body(error);
    co_await exchange.respond(http_status(error.kind), "application/json", body);
  }
}

Task<RelayOutcome> relay(http::Exchange& exchange, http::Client& client, Targets& targets,
                         RelayRequest request, RelayOptions options) {
  Relaying relaying(exchange, client, targets, request, options);
  co_return co_await relaying.run();
}

}  // namespace llmd::proxy
