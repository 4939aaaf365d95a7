#include "proxy/hedge.h"

#include <array>

#include "async/event.h"
#include "async/scope.h"

namespace llmd::proxy {
namespace {

constexpr int kNotReady = 503;

// One of the two sends.
struct Leg {
  http::Abort abort;
  bool running = false;
  std::unique_ptr<http::ClientResponse> response;
  std::string_view first;  // bytes of its body
  std::optional<Error> error;

  bool answers() const { return response != nullptr && response->status() != kNotReady; }
};

struct Race {
  explicit Race(Executor executor) : changed(executor) {}

  std::array<Leg, 2> legs;
  async::Event changed;
  bool is_over() const {
    return legs[0].answers() || legs[1].answers() || (!legs[0].running && !legs[1].running);
  }
  void abort() {
    for (Leg& leg : legs) {
      leg.abort.abort();
    }
  }
};

Task<Result<void>> begin(http::Client& client, http::ClientRequest request, Leg& leg) {
  LLMD_CO_TRY(auto response, co_await client.send(std::move(request)));
  const bool events =
      response->head().headers.find("content-type").value_or("").starts_with("text/event-stream");
  if (events) {
    LLMD_CO_TRY(leg.first, co_await response->body().next());
  }
  leg.response = std::move(response);
  co_return Result<void>();
}

Task<void> run(std::shared_ptr<Race> race, http::Client& client, http::ClientRequest request, Leg& leg) {
  auto begun = co_await begin(client, std::move(request), leg);
  if (!begun) {
    leg.error = std::move(begun).error();
  }
  leg.running = false;
  race->changed.set();
}

// The response of the leg that serves; keeps what its connection needs.
class Winner final : public http::ClientResponse, private http::BodyReader {
 public:
  Winner(std::shared_ptr<Race> race, Leg& leg)
      : race_(std::move(race)), inner_(std::move(leg.response)), first_(leg.first) {}

  const http::ResponseHead& head() const override { return inner_->head(); }
  http::BodyReader& body() override { return *this; }
  std::unique_ptr<net::Stream> upgrade() override { return inner_->upgrade(); }

 private:
  Task<Result<std::string_view>> next() override {
    if (!first_.empty()) {
      co_return std::exchange(first_, {});
    }
    co_return co_await inner_->body().next();
  }
  std::optional<std::uint64_t> length() const override { return inner_->body().length(); }
  bool ready() override { return !first_.empty() || inner_->body().ready(); }
  const http::Headers* trailers() const override { return inner_->body().trailers(); }
  bool ended() const override { return first_.empty() && inner_->body().ended(); }

  std::shared_ptr<Race> race_;
  std::unique_ptr<http::ClientResponse> inner_;
  std::string_view first_;
};

// Nobody answers. That neither was reached is worth another try elsewhere, whatever the reason.
Error failure_of(Race& race) {
  Error error = std::move(*race.legs[0].error);
  const bool reached = race.legs[0].abort.connected() || race.legs[1].abort.connected();
  if (error.kind == ErrorKind::DeadlineExceeded && !reached) {
    return unavailable("connect deadline: {}", error.text());
  }
  return error;
}

}  // namespace

Task<Result<std::unique_ptr<http::ClientResponse>>> HedgedClient::send(http::ClientRequest request) {
  const Executor executor = co_await async::current_executor();
  const auto race = std::make_shared<Race>(executor);
  if (request.abort != nullptr) {
    request.abort->attach_stop([race] { race->abort(); });
  }
  const auto leg_request = [&](http::RequestHead head, const net::Address& address, Leg& leg) {
    leg.running = true;
    return http::ClientRequest{.address = address,
                               .head = std::move(head),
                               .content = request.content,
                               .trailers = request.trailers,
                               .timeouts = request.timeouts,
                               .abort = &leg.abort};
  };
  auto& [first, second] = race->legs;
  bool rivalled = false;
  co_await async::with_scope(executor, [&](async::Scope& scope) -> Task<void> {
    scope.spawn("first", run(race, client_, leg_request(request.head, request.address, first), first));
    if (!co_await race->changed.wait_until(async::Deadline::after(after_))) {
      http::RequestHead head = head_;
      if (const auto address = rivals_.rival(head)) {
        rivalled = true;
        scope.spawn("rival", run(race, client_, leg_request(std::move(head), *address, second), second));
      }
    }
    while (!race->is_over()) {
      race->changed.reset();
      co_await race->changed.wait();
    }
  });
  // Who was there first, if both are; a refusal by the first rather than none at all.
  const bool rival_serves =
      second.answers() ? !first.answers() : first.response == nullptr && second.response;
  Leg& serving = rival_serves ? second : first;
  Leg& other = rival_serves ? first : second;
  if (rivalled) {
    rivals_.settled(rival_serves, other.error || other.response != nullptr);
  }
  other.response.reset();
  if (!serving.response) {
    co_return std::unexpected(failure_of(*race));
  }
  co_return std::make_unique<Winner>(race, serving);
}

}  // namespace llmd::proxy
