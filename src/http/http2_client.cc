#include "http/http2_client.h"

#include "async/event.h"
#include "base/strings.h"
#include "http/http2_client_connection.h"

namespace llmd::http {
namespace {

using async::Deadline;

// Shared by the stream, which reports, and the response object of the caller.
class Http2ResponseState final : public StreamHandler {
 public:
  explicit Http2ResponseState(Executor executor) : changed_(executor) {}

  void on_response(ResponseHead head) override {
    head_ = std::move(head);
    has_head_ = true;
    changed_.set();
  }
  void on_data(std::string_view bytes) override {
    arrived_ += bytes;
    changed_.set();
  }
  void on_trailers(Headers trailers) override { trailers_ = std::move(trailers); }
  void on_end() override {
    ended_ = true;
    changed_.set();
  }
  void on_drained() override { changed_.set(); }
  void on_closed(bool) override {
    stream_ = nullptr;
    changed_.set();
  }

  // Waits until something has changed.
  Task<Result<void>> wait(Deadline deadline, std::string_view waited_for) {
    changed_.reset();
    const bool in_time = co_await changed_.wait_until(deadline);
    if (!in_time) {
      co_return deadline_exceeded("{}: the deadline passed", waited_for);
    }
    co_return Result<void>();
  }
  bool closed() const { return stream_ == nullptr; }
  void stop() {
    if (stream_ != nullptr) {
      stream_->reset(Http2Error::Cancel);
      stream_->flush();
    }
  }

  Http2Stream* stream_ = nullptr;
  ResponseHead head_;
  bool has_head_ = false;
  bool ended_ = false;
  std::optional<Headers> trailers_;
  std::string arrived_;

 private:
  async::Event changed_;
};

class Http2Response final : public ClientResponse, public Http2Call, private BodyReader {
 public:
  Http2Response(std::shared_ptr<Http2ResponseState> state, Timeouts timeouts, std::string server)
      : state_(std::move(state)), timeouts_(timeouts), server_(std::move(server)) {}
  ~Http2Response() override { state_->stop(); }
  const ResponseHead& head() const override { return state_->head_; }
  BodyReader& body() override { return *this; }
  std::unique_ptr<net::Stream> upgrade() override { return nullptr; }

  Task<Result<void>> send(std::string_view bytes) override {
    if (state_->closed()) {
      co_return unavailable("{}: the stream is over", server_);
    }
    state_->stream_->send(bytes);
    state_->stream_->flush();
    while (!state_->closed() && state_->stream_->queued() >= Http2Stream::kLowMark) {
      LLMD_CO_TRY_VOID(co_await state_->wait(timeouts_.total.or_after(timeouts_.idle), "the server reading"));
    }
    co_return Result<void>();
  }
  void end(Headers trailers) override {
    if (state_->closed()) {
      return;
    }
    if (trailers.size() > 0) {
      state_->stream_->end(std::move(trailers));
    } else {
      state_->stream_->end();
    }
    state_->stream_->flush();
  }
  Task<Result<void>> receive_head() override {
    const auto until = timeouts_.total.or_after(timeouts_.first_byte);
    while (!state_->has_head_) {
      if (state_->closed()) {
        co_return unavailable("{} reset the request", server_);
      }
      LLMD_CO_TRY_VOID(co_await state_->wait(until, "answer of " + server_));
    }
    co_return Result<void>();
  }
  void cancel() override { state_->stop(); }

 private:
  Task<Result<std::string_view>> next() override {
    if (lent_ > 0 && !state_->closed()) {
      state_->stream_->consumed(lent_);
      state_->stream_->flush();
    }
    lent_ = 0;
    while (state_->arrived_.empty()) {
      if (state_->ended_) {
        co_return std::string_view();
      }
      if (state_->closed()) {
        co_return unavailable("response of {}: the stream was reset", server_);
      }
      const auto until = timeouts_.total.or_after(timeouts_.idle);
      LLMD_CO_TRY_VOID(co_await state_->wait(until, "response of " + server_));
    }
    current_.clear();
    current_.swap(state_->arrived_);
    lent_ = current_.size();
    co_return std::string_view(current_);
  }
  std::optional<std::uint64_t> length() const override {
    const auto text = state_->head_.headers.find("content-length");
    const auto number = text ? parse_integer(*text) : std::nullopt;
    return number ? std::optional<std::uint64_t>(*number) : std::nullopt;
  }
  bool ready() override { return !state_->arrived_.empty() || state_->ended_ || state_->closed(); }
  bool ended() const override { return state_->arrived_.empty() && state_->ended_; }
  const Headers* trailers() const override {
    return ended() && state_->trailers_ ? &*state_->trailers_ : nullptr;
  }

  std::shared_ptr<Http2ResponseState> state_;
  Timeouts timeouts_;
  std::string server_;
  std::string current_;
  std::size_t lent_ = 0;
};

Task<Result<void>> send_body(Http2Call& call, BodyReader& body) {
  while (true) {
    LLMD_CO_TRY(const std::string_view piece, co_await body.next());
    if (piece.empty()) {
      const Headers* trailers = body.trailers();
      call.end(trailers == nullptr ? Headers() : *trailers);
      co_return Result<void>();
    }
    const auto sent = co_await call.send(piece);
    if (!sent) {
      co_return Result<void>();  // the server may have answered without the rest
    }
  }
}

Task<void> run_connection(std::shared_ptr<Http2ClientConnection::Shared> shared) {
  struct Over {
    Http2ClientConnection::Shared& shared;
    ~Over() { shared.over = true; }
  } over{*shared};
  co_await shared->connection.run();
}

}  // namespace

Http2ClientConnection::Shared::Shared(std::unique_ptr<net::Stream> stream, net::Address to,
                                      const Http2ClientOptions& options, Executor executor)
    : connection(std::move(stream), Http2Session::Side::Client, {},
                 {.ping_interval = options.ping_interval,
                  .ping_timeout = options.ping_timeout,
                  .idle_timeout = Duration::zero()},
                 executor),
      address(std::move(to)),
      scheme(options.tls ? "https" : "http") {}

Task<Result<std::unique_ptr<Http2Client>>> Http2Client::connect(async::Scope& scope, net::Address address,
                                                                Http2ClientOptions options) {
  LLMD_CO_TRY(auto stream, co_await net::dial(address, {.deadline = options.connect_by, .tls = options.tls}));
  const Executor executor = co_await async::current_executor();
  auto shared = std::make_shared<Http2ClientConnection::Shared>(std::move(stream), std::move(address),
                                                                options, executor);
  scope.spawn("http2 client", run_connection(shared));
  co_return std::make_unique<Http2ClientConnection>(std::move(shared));
}

Http2ClientConnection::~Http2ClientConnection() {
  shared_->connection.close();
}

bool Http2ClientConnection::over() const {
  return shared_->over;
}

Result<Http2Stream*> Http2ClientConnection::open(RequestHead head, std::shared_ptr<StreamHandler> handler,
                                                 bool end) {
  if (!head.headers.has("Host")) {
    head.headers.add("Host", shared_->address.to_string());
  }
  Http2Stream* stream =
      over() ? nullptr : shared_->connection.session().open(head, shared_->scheme, std::move(handler), end);
  if (stream == nullptr) {
    return unavailable("{} takes no more requests on this connection", shared_->address.to_string());
  }
  return stream;
}

Result<std::unique_ptr<Http2Call>> Http2ClientConnection::begin(RequestHead head, Timeouts timeouts) {
  auto state = std::make_shared<Http2ResponseState>(executor());
  LLMD_TRY(state->stream_, open(std::move(head), state, false));
  return std::make_unique<Http2Response>(state, timeouts, shared_->address.to_string());
}

Task<Result<std::unique_ptr<ClientResponse>>> Http2ClientConnection::send(ClientRequest request) {
  auto state = std::make_shared<Http2ResponseState>(executor());
  if (!request.content.empty()) {
    request.head.headers.set("content-length", std::to_string(request.content.size()));
  }
  const bool bodyless = request.content.empty() && request.stream == nullptr && request.trailers == nullptr;
  LLMD_CO_TRY(state->stream_, open(std::move(request.head), state, bodyless));
  auto response = std::make_unique<Http2Response>(state, request.timeouts, shared_->address.to_string());
  if (request.abort != nullptr) {
    request.abort->attach_stop([weak = std::weak_ptr(state)] {
      if (const auto stopped = weak.lock()) {
        stopped->stop();
      }
    });
  }
  if (request.stream != nullptr) {
    state->stream_->flush();
    LLMD_CO_TRY_VOID(co_await send_body(*response, *request.stream));
  } else if (!bodyless) {
    state->stream_->send(request.content);
    response->end(request.trailers == nullptr ? Headers() : *request.trailers);
  } else {
    state->stream_->flush();
  }
  LLMD_CO_TRY_VOID(co_await response->receive_head());
  co_return std::unique_ptr<ClientResponse>(std::move(response));
}

}  // namespace llmd::http
