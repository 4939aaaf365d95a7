#include "bench/load_run.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "async/deadline.h"
#include "async/event.h"
#include "async/scope.h"
#include "bench/request_body.h"
#include "bench/stream_meter.h"
#include "http/client.h"
#include "json/value.h"

namespace llmd::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

http::ClientOptions client_options(const LoadOptions& options, std::shared_ptr<const net::TlsClient> tls) {
  return {.tls = std::move(tls),
          .max_idle_per_address = options.concurrency,
          .idle_lifetime = std::chrono::minutes(5)};
}

std::string error_name(const Error& error) {
  return std::string(to_string(error.kind));
}

}  // namespace

struct Load::State {
  State(async::EventLoop& l, LoadOptions o, LoadHooks h)
      : loop(l),
        options(std::move(o)),
        hooks(std::move(h)),
        body(options),
        random(options.seed),
        room(l.executor()) {}

  async::EventLoop& loop;
  const LoadOptions options;
  const LoadHooks hooks;
  const RequestBody body;
  std::mt19937_64 random;
  std::unique_ptr<http::ClientPool> pool;
  async::Event room;  // open loop: fewer than `concurrency` requests are running
  LoadResult result;
  TimePoint counting_from{};
  std::uint64_t started = 0;  // counted ones
  std::uint64_t sent = 0;     // all, for unique prompts
  std::size_t in_flight = 0;
  bool counting = false;
  bool stopping = false;

  bool wants_more(TimePoint intended);
  Task<void> client();
  Task<void> timetable(async::Scope& requests);
  Task<void> request(TimePoint intended);
  Task<Result<void>> exchange(TimePoint intended, LoadResult& into);
  Task<Result<void>> read_stream(http::ClientResponse& response, TimePoint intended, LoadResult& into);
  Task<Result<void>> read_whole(http::ClientResponse& response, LoadResult& into);
  void fail(const std::string& kind, const std::string& message);
};

// Takes one request off the plan. The switch from warm-up to counting happens here.
bool Load::State::wants_more(TimePoint intended) {
  if (stopping) {
    return false;
  }
  if (!counting && intended >= counting_from) {
    counting = true;
    counting_from = SteadyClock::now();
    if (hooks.on_start) {
      hooks.on_start();
    }
  }
  if (counting) {
    const bool more =
        options.requests ? started < *options.requests : intended < counting_from + options.duration;
    started += more ? 1 : 0;
    return more;
  }
  return true;
}

Task<void> Load::State::client() {
  while (wants_more(SteadyClock::now())) {
    co_await request(SteadyClock::now());
  }
}

Task<void> Load::State::timetable(async::Scope& requests) {
  std::exponential_distribution<double> gap(*options.rate);
  TimePoint next = SteadyClock::now();
  while (wants_more(next)) {
    requests.spawn("request", request(next));
    const double seconds = options.arrival == Arrival::Poisson ? gap(random) : 1.0 / *options.rate;
    next += std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    if (next > SteadyClock::now()) {
      co_await async::sleep_until(next);
    }
    while (in_flight >= options.concurrency) {  // late requests keep their intended time
      room.reset();
      co_await room.wait();
    }
  }
}

Task<void> Load::State::request(TimePoint intended) {
  const bool counts = counting;
  ++in_flight;
  // Kept apart until the end: a failed request contributes no times.
  auto measured = counts ? &result : nullptr;
  LoadResult discarded;
  const auto done = co_await exchange(intended, measured ? *measured : discarded);
  --in_flight;
  room.set();
  if (counts && done) {
    ++result.succeeded;
    result.latency.record(SteadyClock::now() - intended);
  }
}

void Load::State::fail(const std::string& kind, const std::string& message) {
  if (counting) {
    ++result.failed;
    ++result.errors[kind];
    result.examples.try_emplace(kind, message);
  }
}

Task<Result<void>> Load::State::exchange(TimePoint intended, LoadResult& into) {
  const std::string content = body.render(sent++);
  http::ClientRequest call{.address = options.address, .content = content};
  call.head.method = "POST";
  call.head.target = options.target;
  call.head.headers.add("Content-Type", "application/json");
  call.timeouts = {.first_byte = options.timeout,
                   .idle = options.timeout,
                   .total = async::Deadline::after(options.timeout)};
  auto response = co_await pool->send(std::move(call));
  if (!response) {
    fail(error_name(response.error()), response.error().message);
    co_return std::unexpected(response.error());
  }
  const int status = (*response)->status();
  if (status != 200) {
    const auto answer = co_await http::read_all((*response)->body(), 64 * 1024);
    fail(fmt::format("http {}", status), answer.value_or("").substr(0, 500));
    co_return unavailable("status {}", status);
  }
  Result<void> read;
  if (options.stream) {
    auto outcome = co_await read_stream(**response, intended, into);
    read = std::move(outcome);
  } else {
    into.first_token.record(SteadyClock::now() - intended);
    auto outcome = co_await read_whole(**response, into);
    read = std::move(outcome);
  }
  co_return read;
}

Task<Result<void>> Load::State::read_stream(http::ClientResponse& response, TimePoint intended,
                                            LoadResult& into) {
  StreamMeter meter;
  TimePoint last{};
  while (true) {
    const auto piece = co_await response.body().next();
    if (!piece) {
      fail("stream cut off", piece.error().message);
      co_return std::unexpected(piece.error());
    }
    if (piece->empty()) {
      break;
    }
    into.bytes += piece->size();
    const int events = meter.feed(*piece);
    if (events == 0) {
      continue;
    }
    const TimePoint now = SteadyClock::now();
    if (last == TimePoint{}) {
      into.first_token.record(now - intended);
    } else {
      into.gaps.record(now - last);
    }
    last = now;
    into.events += static_cast<std::uint64_t>(events);
  }
  if (!meter.error().empty()) {
    fail("error in stream", meter.error());
    co_return unavailable("error in stream");
  }
  if (!meter.done()) {
    fail("stream without [DONE]", "the stream ended in order, but without its closing event");
    co_return unavailable("no [DONE]");
  }
  co_return Result<void>();
}

Task<Result<void>> Load::State::read_whole(http::ClientResponse& response, LoadResult& into) {
  while (true) {
    const auto piece = co_await response.body().next();
    if (!piece) {
      fail("answer cut off", piece.error().message);
      co_return std::unexpected(piece.error());
    }
    if (piece->empty()) {
      co_return Result<void>();
    }
    into.bytes += piece->size();
  }
}

Load::Load(async::EventLoop& loop, LoadOptions options, LoadHooks hooks)
    : state_(std::make_unique<State>(loop, std::move(options), std::move(hooks))) {}
Load::~Load() = default;

void Load::stop() {
  state_->stopping = true;
}

Task<Result<LoadResult>> Load::run() {
  State& state = *state_;
  std::shared_ptr<const net::TlsClient> tls;
  if (state.options.tls) {
    LLMD_CO_TRY(tls, net::TlsClient::system_trust());
  }
  state.pool = std::make_unique<http::ClientPool>(state.loop, client_options(state.options, std::move(tls)));
  state.counting_from = SteadyClock::now() + state.options.warmup;
  const auto send_all = [&state](async::Scope& scope) -> Task<void> {
    if (state.options.rate) {
      co_await state.timetable(scope);
    } else {
      for (std::size_t i = 0; i < state.options.concurrency; ++i) {
        scope.spawn("client", state.client());
      }
    }
    co_await scope.join();
  };
  co_await async::with_scope(state.loop.executor(), send_all);
  state.result.elapsed = SteadyClock::now() - state.counting_from;
  if (state.hooks.on_end) {
    state.hooks.on_end();
  }
  co_return std::move(state.result);
}

}  // namespace llmd::bench
