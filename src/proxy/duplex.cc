#include "proxy/duplex.h"

#include "http/grpc_status.h"
#include "proxy/forwarding.h"

namespace llmd::proxy {
namespace {

constexpr int kClientLeft = 499;

http::Headers status_fields(const Error& error) {
  const http::GrpcStatus status = http::grpc_status(error);
  return {{"grpc-status", std::to_string(static_cast<int>(status.code))},
          {"grpc-message", http::encode_grpc_message(status.message)}};
}

// The state of one call, in the frame of relay_duplex().
class Duplex {
 public:
  Duplex(http::Exchange& exchange, http::Http2Pool& pool, Targets& targets, const RelayRequest& request,
         RelayOptions options)
      : exchange_(exchange), pool_(pool), targets_(targets), request_(request), options_(options) {
    const auto timeout =
        http::parse_grpc_timeout(exchange.request().headers.find("grpc-timeout").value_or(""));
    options_.total = timeout ? options_.total.or_after(*timeout) : options_.total;
    exchange_.lift_body_limits();
    exchange_.on_client_gone([this] {
      gone_ = true;
      if (call_) {
        call_->cancel();
      }
    });
  }
  Duplex(const Duplex&) = delete;
  ~Duplex() { exchange_.on_client_gone(nullptr); }

  Task<RelayOutcome> run() {
    auto done = co_await reach_one();
    if (done) {
      const Executor executor = co_await async::current_executor();
      auto both_ways = [&](async::Scope& scope) -> Task<void> {
        scope.spawn("grpc request", send_request());
        done = co_await pass_answer();
      };
      co_await async::with_scope(executor, both_ways);
    }
    if (!done) {
      co_await conclude(std::move(done).error());
    }
    outcome_.complete = !outcome_.error;
    co_return outcome_;
  }

 private:
  Task<Result<void>> reach_one() {
    std::optional<Error> failure;
    while (outcome_.attempts < options_.attempts && !gone_) {
      const auto target = co_await targets_.next();
      if (!target) {
        co_return std::unexpected(failure ? std::move(*failure) : target.error());
      }
      ++outcome_.attempts;
      const auto connect_by = options_.total.or_after(options_.connect);
      const auto client = co_await pool_.get(*target, connect_by);
      if (!client) {
        failure = client.error();
        continue;
      }
      http::RequestHead head = request_.head;
      targets_.prepare(head);
      head.headers.set("te", "trailers");
      auto call = (*client)->begin(std::move(head), {.connect = options_.connect,
                                                     .first_byte = options_.first_byte,
                                                     .idle = options_.idle,
                                                     .total = options_.total});
      if (call) {
        client_ = *client;
        call_ = std::move(*call);
        co_return Result<void>();
      }
      failure = std::move(call).error();
    }
    co_return std::unexpected(failure ? std::move(*failure) : cancelled("the client has left"));
  }

  // Ends with the client's last message. A client that breaks off is noticed by the exchange.
  Task<void> send_request() {
    http::BodyReader& body = exchange_.body();
    while (true) {
      const auto piece = co_await body.next();
      if (!piece) {
        call_->cancel();
        co_return;
      }
      if (piece->empty()) {
        const http::Headers* trailers = body.trailers();
        call_->end(trailers == nullptr ? http::Headers() : forwarded_trailers(*trailers));
        co_return;
      }
      const auto sent = co_await call_->send(*piece);
      if (!sent) {
        co_return;  // the server's answer tells why
      }
    }
  }

  Task<Result<void>> pass_answer() {
    LLMD_CO_TRY_VOID(co_await call_->receive_head());
    http::ResponseHead head{call_->head().status, forwarded_response_headers(call_->head().headers)};
    targets_.answered(head);
    if (request_.edit_response) {
      request_.edit_response(head);
    }
    outcome_.status = head.status;
    http::BodyReader& body = call_->body();
    if (body.ended() && body.trailers() == nullptr) {
      co_return co_await exchange_.respond(std::move(head), {});
    }
    LLMD_CO_TRY_VOID(co_await exchange_.start(std::move(head)));
    bool first = true;
    while (true) {
      LLMD_CO_TRY(const std::string_view piece, co_await body.next());
      if (piece.empty()) {
        if (const http::Headers* trailers = body.trailers()) {
          exchange_.set_trailers(forwarded_trailers(*trailers));
        }
        co_return co_await exchange_.finish();
      }
      if (std::exchange(first, false)) {
        targets_.first_byte();
      }
      LLMD_CO_TRY_VOID(co_await exchange_.write(piece));
    }
  }

  Task<void> conclude(Error error) {
    if (gone_) {
      outcome_.status = kClientLeft;
      outcome_.error = cancelled("the client has left");
      co_return;
    }
    outcome_.status = http_status(error.kind);
    if (exchange_.started()) {
      exchange_.set_trailers(status_fields(error));
      co_await exchange_.finish();
    } else {
      co_await answer_grpc_error(exchange_, error);
    }
    outcome_.error = std::move(error);
  }

  http::Exchange& exchange_;
  http::Http2Pool& pool_;
  Targets& targets_;
  const RelayRequest& request_;
  RelayOptions options_;
  std::shared_ptr<http::Http2Client> client_;  // lives as long as its call
  std::unique_ptr<http::Http2Call> call_;
  bool gone_ = false;
  RelayOutcome outcome_;
};

}  // namespace

bool is_grpc(const http::RequestHead& request) {
  return request.headers.find("content-type").value_or("").starts_with("application/grpc");
}

Task<RelayOutcome> relay_duplex(http::Exchange& exchange, http::Http2Pool& pool, Targets& targets,
                                RelayRequest request, RelayOptions options) {
  Duplex duplex(exchange, pool, targets, request, options);
  co_return co_await duplex.run();
}

Task<void> answer_grpc_error(http::Exchange& exchange, const Error& error) {
  if (!exchange.started()) {
    http::ResponseHead head{200, status_fields(error)};
    head.headers.add("Content-Type", "application/grpc");
    co_await exchange.respond(std::move(head), {});
  }
}

}  // namespace llmd::proxy
