#include "trace/exporter.h"

#include <deque>
#include <mutex>

#include "async/event.h"
#include "base/log.h"
#include "base/strings.h"

namespace llmd::trace {
namespace {

constexpr std::uint16_t kGrpcPort = 4317;
constexpr std::uint16_t kHttpPort = 4318;
constexpr std::size_t kAnswerLimit = 64 * 1024;

bool may_be_repeated(const Result<http::Answer>& answer) {
  return !answer || answer->status == 408 || answer->status == 429 || answer->status >= 500;
}

}  // namespace

Result<OtlpTarget> parse_otlp_endpoint(std::string_view url) {
  OtlpTarget target;
  std::string_view rest = url;
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::string name = to_lower(url.substr(0, scheme));
    if (name != "http" && name != "https") {
      return invalid_argument("OTLP endpoint '{}': scheme '{}' is not http or https", url, name);
    }
    target.tls = name == "https";
    rest.remove_prefix(scheme + 3);
  }
  const std::size_t slash = rest.find('/');
  std::string base(slash == std::string_view::npos ? std::string_view() : rest.substr(slash));
  while (base.ends_with('/')) {
    base.pop_back();
  }
  target.path = base.ends_with("/v1/traces") ? base : base + "/v1/traces";
  const std::string_view authority = rest.substr(0, slash);
  const bool has_port = authority.rfind(':') != std::string_view::npos && !authority.ends_with(']');
  auto address =
      net::parse_address(has_port ? std::string(authority) : fmt::format("{}:{}", authority, kHttpPort));
  if (!address || address->host.empty()) {
    return invalid_argument("OTLP endpoint '{}' has no host and port", url)
        .hint("write it like http://collector:4318");
  }
  target.address = std::move(*address);
  if (target.address.port == kGrpcPort) {
    log::warning("OTLP over gRPC is not spoken, using HTTP", {{"endpoint", url}, {"port", kHttpPort}});
    target.address.port = kHttpPort;
  }
  return target;
}

struct OtlpExporter::State {
  async::EventLoop& loop;
  Options options;
  http::ClientPool pool;
  async::Event full;         // a whole batch waits; on the loop
  mutable std::mutex mutex;  // guards the two below
  std::deque<FinishedSpan> queue;
  Stats stats;

  State(async::EventLoop& l, Options o)
      : loop(l), options(std::move(o)), pool(loop, options.client), full(loop.executor()) {}

  std::vector<FinishedSpan> next_batch() {
    const std::lock_guard lock(mutex);
    std::vector<FinishedSpan> batch;
    while (!queue.empty() && batch.size() < options.batch_spans) {
      batch.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    return batch;
  }
  Task<Result<http::Answer>> post(const std::string& body, async::Deadline deadline);
  Task<void> send(std::vector<FinishedSpan> batch);
  void count(const Result<http::Answer>& answer, std::size_t spans, bool last);
};

Task<Result<http::Answer>> OtlpExporter::State::post(const std::string& body, async::Deadline deadline) {
  if (options.target.tls && !options.client.tls) {
    co_return failed_precondition("exporting spans to {} by https: no TLS is configured",
                                  options.target.address.to_string());
  }
  http::ClientRequest request;
  request.address = options.target.address;
  request.head.method = "POST";
  request.head.target = options.target.path;
  request.head.headers.set("Content-Type", "application/json");
  request.content = body;
  request.timeouts.connect = request.timeouts.first_byte = request.timeouts.idle = options.timeout;
  request.timeouts.total = deadline.or_after(options.timeout);
  co_return co_await http::fetch(pool, std::move(request), kAnswerLimit);
}

// `last`: the batch is not tried again.
void OtlpExporter::State::count(const Result<http::Answer>& answer, std::size_t spans, bool last) {
  const bool good = answer && answer->status / 100 == 2;
  {
    const std::lock_guard lock(mutex);
    stats.exported += good ? spans : 0;
    stats.failures += good ? 0 : 1;
    stats.refused += !good && last ? spans : 0;
  }
  if (!good && last) {
    log::warning("spans lost",
                 {{"spans", spans},
                  {"collector", options.target.address.to_string()},
                  {"reason", answer ? fmt::format("status {}", answer->status) : answer.error().text()}});
  }
}

Task<void> OtlpExporter::State::send(std::vector<FinishedSpan> batch) {
  const std::string body = to_otlp_json(options.resource, batch);
  Duration pause = options.first_pause;
  for (int left = options.attempts - 1;; --left, pause *= 2) {
    const auto answer = co_await post(body, async::Deadline::never());
    const bool again = may_be_repeated(answer) && left > 0;
    count(answer, batch.size(), !again);
    if (!again) {
      co_return;
    }
    co_await async::sleep(pause);
  }
}

OtlpExporter::OtlpExporter(async::EventLoop& loop, Options options) {
  if (!options.target.tls) {
    options.client.tls = nullptr;
  }
  state_ = std::make_shared<State>(loop, std::move(options));
}

OtlpExporter::~OtlpExporter() = default;

void OtlpExporter::take(FinishedSpan span) {
  bool is_full = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->queue.size() >= state_->options.max_queued) {
      ++state_->stats.dropped;
      return;
    }
    state_->queue.push_back(std::move(span));
    is_full = state_->queue.size() == state_->options.batch_spans;
  }
  if (is_full) {
    state_->loop.post([state = state_] { state->full.set(); });
  }
}

Task<void> OtlpExporter::run() {
  const auto state = state_;
  while (true) {
    co_await state->full.wait_until(async::Deadline::after(state->options.interval));
    state->full.reset();
    auto batch = state->next_batch();
    while (!batch.empty()) {
      co_await state->send(std::move(batch));
      batch = state->next_batch();
    }
  }
}

Task<Result<void>> OtlpExporter::flush(async::Deadline deadline) {
  const auto state = state_;
  auto batch = state->next_batch();
  while (!batch.empty()) {
    const std::string body = to_otlp_json(state->options.resource, batch);
    const auto answer = co_await state->post(body, deadline);
    state->count(answer, batch.size(), true);
    if (!answer) {
      co_return std::unexpected(answer.error());
    }
    batch = state->next_batch();
  }
  co_return Result<void>();
}

OtlpExporter::Stats OtlpExporter::stats() const {
  const std::lock_guard lock(state_->mutex);
  Stats stats = state_->stats;
  stats.queued = state_->queue.size();
  return stats;
}

}  // namespace llmd::trace
