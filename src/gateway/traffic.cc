#include "gateway/traffic.h"

#include <algorithm>

#include "gateway/control_headers.h"
#include "proxy/forwarding.h"

namespace llmd::gateway {
namespace {

constexpr int kClientLeft = 499;

// An id from outside goes into logs and headers: it must be short and plain.
std::string request_id_of(const http::RequestHead& head) {
  constexpr std::size_t kLongest = 128;
  const std::string_view given = head.headers.find("x-request-id").value_or("");
  const bool plain =
      std::ranges::all_of(given, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
  return given.empty() || given.size() > kLongest || !plain ? proxy::make_request_id() : std::string(given);
}

}  // namespace

Traffic::Traffic(GatewayConfiguration given, const trace::Tracer* used)
    : configuration(std::move(given)), keys(configuration.apiKeys), tracer(used) {}

Result<void> Traffic::open() {
  if (!configuration.accessLog.path.empty()) {
    LLMD_TRY(log_, AccessLog::open(configuration.accessLog.path));
  }
  return {};
}

bool Traffic::trusts_listener(const net::Address& listener) const {
  const std::string port = std::to_string(listener.port);
  return std::ranges::any_of(configuration.trustedListeners, [&](const std::string& trusted) {
    return trusted == "*" || trusted == port || trusted == listener.to_string();
  });
}

json::Array Traffic::live() const {
  const TimePoint now = std::chrono::steady_clock::now();
  json::Array list;
  const std::lock_guard lock(mutex_);
  for (const Visit* visit : visits_) {
    const http::RequestHead& head = visit->answer_.request();
    json::Object entry;
    entry["requestId"] = visit->notes_.request_id;
    entry["client"] = visit->client_.to_string();
    entry["method"] = head.method;
    entry["path"] = head.path();
    entry["model"] = visit->notes_.model;
    entry["upstream"] = visit->notes_.upstream;
    entry["seconds"] = std::chrono::duration<double>(now - visit->answer_.began()).count();
    list.push_back(std::move(entry));
  }
  return list;
}

Visit::Visit(Traffic& traffic, http::Exchange& arrived)
    : traffic_(traffic),
      notes_{.request_id = request_id_of(arrived.request())},
      client_(arrived.peer()),
      answer_(arrived, notes_.request_id),
      trace_(traffic.tracer, arrived.request()) {
  const std::lock_guard lock(traffic_.mutex_);
  place_ = traffic_.visits_.insert(traffic_.visits_.end(), this);
}

Visit::~Visit() {
  {
    const std::lock_guard lock(traffic_.mutex_);
    traffic_.visits_.erase(place_);
  }
  const TimePoint now = std::chrono::steady_clock::now();
  const Duration duration = now - answer_.began();
  const int status = answer_.status() == 0 ? kClientLeft : answer_.status();
  const picker::Usage usage = answer_.usage();
  const std::string_view key = key_ != nullptr ? std::string_view(key_->name()) : std::string_view();
  if (!counted_as_.empty()) {
    traffic_.metrics.ended(counted_as_);
  }
  if (!notes_.model.empty()) {
    const std::string_view model = notes_.model_known ? std::string_view(notes_.model) : "unknown";
    const std::string_view target =
        notes_.target_model.empty() ? model : std::string_view(notes_.target_model);
    traffic_.metrics.observe({.model = model,
                              .target_model = target,
                              .key = key,
                              .stream = answer_.streamed(),
                              .status = status,
                              .request_bytes = notes_.request_bytes,
                              .response_bytes = answer_.bytes(),
                              .duration = duration,
                              .first_byte = answer_.first_byte(),
                              .events = answer_.events(),
                              .usage = usage});
  }
  if (key_ != nullptr && status < 400) {
    // A stream without a usage chunk still costs: about one token per event.
    const std::int64_t prompt =
        usage.prompt_tokens.value_or(static_cast<std::int64_t>((notes_.request_bytes + 3) / 4));
    key_->limits().spend_tokens(prompt + usage.completion_tokens.value_or(answer_.events()), now);
  }
  if (trace_.sampled()) {
    end_trace(status, usage);
  }
  if (traffic_.log_) {
    const http::RequestHead& head = answer_.request();
    traffic_.log_->write({.time = std::chrono::system_clock::now(),
                          .request_id = notes_.request_id,
                          .client = client_.host,
                          .method = head.method,
                          .path = head.path(),
                          .route = notes_.route,
                          .model = notes_.model,
                          .owner = notes_.owner,
                          .via = notes_.via,
                          .upstream = notes_.upstream,
                          .key = key,
                          .status = status,
                          .attempts = notes_.attempts,
                          .stream = answer_.streamed(),
                          .request_bytes = notes_.request_bytes,
                          .response_bytes = answer_.bytes(),
                          .prompt_tokens = usage.prompt_tokens.value_or(-1),
                          .completion_tokens = usage.completion_tokens.value_or(-1),
                          .duration = duration,
                          .first_byte = answer_.first_byte(),
                          .error = notes_.error});
  }
}

void Visit::end_trace(int status, const picker::Usage& usage) {
  trace::Span& span = trace_.server();
  span.set("http.response.status_code", status);
  span.set("llmd.request.id", std::string_view(notes_.request_id));
  const std::pair<std::string_view, const std::string*> texts[] = {
      {"http.route", &notes_.route},
      {"gen_ai.request.model", &notes_.model},
      {"gen_ai.response.model", &notes_.target_model},
      {"llmd.model.owner", &notes_.owner}};
  for (const auto& [key, text] : texts) {
    if (!text->empty()) {
      span.set(key, std::string_view(*text));
    }
  }
  if (usage.prompt_tokens) {
    span.set("gen_ai.usage.input_tokens", *usage.prompt_tokens);
  }
  if (usage.completion_tokens) {
    span.set("gen_ai.usage.output_tokens", *usage.completion_tokens);
  }
  if (notes_.attempts > 1) {
    span.set("http.request.resend_count", notes_.attempts - 1);
  }
  if (status >= 500 || !notes_.error.empty()) {
    span.fail(notes_.error);
  }
  span.end();
}

Task<bool> Visit::admit() {
  auto key = traffic_.keys.authenticate(answer_.request().headers);
  if (!key) {
    co_await refuse(key.error(), "unauthenticated");
    co_return false;
  }
  key_ = *key;
  if (key_ == nullptr) {
    co_return true;
  }
  auto use = key_->limits().begin(std::chrono::steady_clock::now());
  if (!use) {
    co_await refuse(limit_reached(*key_, use.error()), "rate_limited");
    co_return false;
  }
  use_ = std::move(*use);
  co_return true;
}

std::optional<openai::ApiError> Visit::use_model(std::string_view model, bool stream,
                                                 std::size_t request_bytes) {
  {
    const std::lock_guard lock(traffic_.mutex_);
    notes_.stream = stream;
    notes_.request_bytes = request_bytes;
    notes_.model = model;
  }
  // Without a model an engine would take its own: only questions without a body may leave it out.
  const bool asks_nothing = model.empty() && request_bytes == 0;
  if (key_ != nullptr && !asks_nothing && !key_->allows(model)) {
    return model_not_allowed(*key_, model);
  }
  if (!model.empty() && notes_.model_known && counted_as_.empty()) {
    counted_as_ = model;
    traffic_.metrics.begun(counted_as_);
  }
  return std::nullopt;
}

void Visit::clean(http::Headers& headers, bool listener_trusted) const {
  strip_control_headers(headers, trusted(listener_trusted));
  traffic_.keys.strip(headers);
  if (headers.find("x-request-id") != notes_.request_id) {
    headers.set("X-Request-Id", notes_.request_id);
  }
  trace_.mark(headers);
}

void Visit::set_upstream(std::string upstream) {
  const std::lock_guard lock(traffic_.mutex_);
  notes_.upstream = std::move(upstream);
}

void Visit::note_outcome(const proxy::RelayOutcome& outcome) {
  notes_.attempts = outcome.attempts;
  if (outcome.error) {
    notes_.error = outcome.error->text();
  }
  trace_.end_attempt(outcome.error);
}

Task<void> Visit::refuse(const openai::ApiError& error, std::string_view reason) {
  traffic_.metrics.refused(reason);
  notes_.error = error.message;
  http::ResponseHead head{error.status, {{"Content-Type", "application/json"}}};
  if (error.status == 401) {
    head.headers.add("WWW-Authenticate", "Bearer");
  }
  if (error.retry_after > 0) {
    head.headers.add("Retry-After", std::to_string(error.retry_after));
  }
  const std::string body = error.body();
  co_await answer_.respond(std::move(head), body);
}

}  // namespace llmd::gateway
