#include "proxy/tunnel.h"

#include <array>

#include "async/scope.h"
#include "proxy/forwarding.h"

namespace llmd::proxy {
namespace {

constexpr int kSwitchingProtocols = 101;

// Both directions of one tunnel. Silence is only silence when neither side says anything.
class Pump {
 public:
  Pump(net::Stream& client, net::Stream& upstream, const RelayOptions& options)
      : client_(client), upstream_(upstream), options_(options) {}

  Task<void> run(Executor executor) {
    co_await async::with_scope(executor, [this](async::Scope& scope) -> Task<void> {
      scope.spawn("tunnel, to the upstream", copy(client_, upstream_));
      scope.spawn("tunnel, to the client", copy(upstream_, client_));
      co_await scope.join();
    });
  }

 private:
  Task<void> copy(net::Stream& from, net::Stream& to) {
    std::vector<char> buffer(16 * 1024);
    while (true) {
      from.set_deadline(async::Deadline::at(last_ + options_.idle).or_earlier(options_.total),
                        "the other side of the tunnel");
      const auto size = co_await from.read_some(buffer);
      const bool quiet = !size && size.error().kind == ErrorKind::DeadlineExceeded;
      if (quiet && !options_.total.expired() && last_ + options_.idle > std::chrono::steady_clock::now()) {
        continue;
      }
      if (!size) {
        break;
      }
      last_ = std::chrono::steady_clock::now();
      if (*size == 0) {  // one side may end before the other
        co_await to.shutdown();
        co_return;
      }
      const std::string_view bytes(buffer.data(), *size);
      to.set_deadline(options_.total.or_after(options_.idle), "the other side of the tunnel");
      if (!co_await to.write(bytes)) {
        break;
      }
    }
    from.close();
    to.close();
  }

  net::Stream& client_;
  net::Stream& upstream_;
  const RelayOptions& options_;
  TimePoint last_ = std::chrono::steady_clock::now();
};

Task<Result<void>> pass_on(http::Exchange& exchange, http::ClientResponse& response) {
  constexpr std::size_t kMost = 16 << 20;
  LLMD_CO_TRY(const auto body, co_await http::read_all(response.body(), kMost));
  http::ResponseHead head{response.status(), forwarded_response_headers(response.head().headers)};
  co_return co_await exchange.respond(std::move(head), body);
}

Task<Result<void>> switch_over(http::Exchange& exchange, http::ClientResponse& response,
                               const RelayOptions& options) {
  http::ResponseHead head{kSwitchingProtocols, forwarded_response_headers(response.head().headers)};
  head.headers.add("Upgrade", std::string(response.head().headers.find("upgrade").value_or("")));
  LLMD_CO_TRY_VOID(co_await exchange.start(std::move(head)));
  const auto upstream = response.upgrade();
  const auto client = exchange.upgrade();
  if (!client) {
    co_return failed_precondition("the connection to the client cannot be taken over");
  }
  Pump pump(*client, *upstream, options);
  const auto executor = co_await async::current_executor();
  co_await pump.run(executor);
  co_return Result<void>();
}

}  // namespace

bool asks_for_upgrade(const http::RequestHead& request) {
  return request.headers.has("upgrade") && request.headers.lists("connection", "upgrade");
}

Task<RelayOutcome> tunnel(http::Exchange& exchange, http::Client& client, Targets& targets,
                          RelayRequest request, RelayOptions options) {
  request.head.headers.set("Upgrade", std::string(exchange.request().headers.find("upgrade").value_or("")));
  RelayOutcome outcome;
  while (outcome.attempts < options.attempts) {
    const auto target = co_await targets.next();
    if (!target) {
      outcome.error = outcome.error ? std::move(outcome.error) : target.error();
      break;
    }
    ++outcome.attempts;
    http::ClientRequest call;
    call.address = *target;
    call.head = request.head;
    targets.prepare(call.head);
    call.timeouts = {.connect = options.connect,
                     .first_byte = options.first_byte,
                     .idle = options.idle,
                     .total = options.total};
    const auto response = co_await client.send(std::move(call));
    if (!response) {
      outcome.error = response.error();
      if (response.error().kind == ErrorKind::Unavailable) {
        continue;
      }
      break;
    }
    outcome.status = (*response)->status();
    http::ClientResponse& answer = **response;
    const bool switches = outcome.status == kSwitchingProtocols;
    auto done = switches ? switch_over(exchange, answer, options) : pass_on(exchange, answer);
    const auto result = co_await std::move(done);
    outcome.complete = result.has_value();
    outcome.error = result ? std::nullopt : std::optional(result.error());
    co_return outcome;
  }
  outcome.status = http_status(outcome.error->kind);
  co_await answer_error(exchange, *outcome.error);
  co_return outcome;
}

}  // namespace llmd::proxy
