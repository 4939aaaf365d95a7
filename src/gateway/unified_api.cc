#include "gateway/unified_api.h"

#include <algorithm>

#include "async/event_loop.h"
#include "base/strings.h"
#include "gateway/held_body.h"
#include "gateway/picker_request.h"
#include "gateway/unified_selector.h"
#include "gateway/unified_targets.h"
#include "openai/error_body.h"
#include "proxy/duplex.h"
#include "proxy/forwarding.h"
#include "proxy/tunnel.h"

namespace llmd::gateway {
namespace {

constexpr std::string_view kModels = "/v1/models";

// Where the gateway answers itself, and only GET.
bool lists_models(std::string_view path) {
  return path == kModels || path.starts_with("/v1/models/");
}

std::string_view without_slash(std::string_view path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

// The name behind an alias; the name itself when it is none.
std::string_view resolve_alias(const UnifiedConfiguration& unified, std::string_view model) {
  const auto found = unified.aliases.find(std::string(model));
  return found == unified.aliases.end() ? model : std::string_view(found->second);
}

std::optional<std::string_view> rewritten_model(const http::Headers& headers) {
  const auto found = headers.find("x-gateway-model-name-rewrite");
  return found ? found : headers.find("x-llm-d-model-name-rewrite");
}

// Speaks to each target as it wants to be spoken to.
class ChosenClient final : public http::Client {
 public:
  ChosenClient(Upstreams& upstreams, const UnifiedTargets& targets)
      : upstreams_(upstreams), targets_(targets) {}
  Task<Result<std::unique_ptr<http::ClientResponse>>> send(http::ClientRequest request) override {
    return upstreams_.of(targets_.protocol()).send(std::move(request));
  }

 private:
  Upstreams& upstreams_;
  const UnifiedTargets& targets_;
};

}  // namespace

// Right after the start nobody has been asked yet: better a moment's wait than an answer that is wrong.
Task<void> UnifiedApi::wait_for_first_answers() {
  const auto deadline = async::Deadline::after(shared_.traffic.configuration.unified.probeTimeout);
  while (shared_.directory->catalog()->incomplete) {
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline);
    if (!changed) {
      co_return;
    }
  }
}

Task<bool> UnifiedApi::list_models(Visit& visit) {
  const http::RequestHead& head = visit.answer().request();
  const std::string_view path = without_slash(head.path());
  if (!lists_models(path) || (head.method != "GET" && head.method != "HEAD")) {
    co_return false;
  }
  co_await wait_for_first_answers();
  auto cards = shared_.directory->catalog()->list();
  const auto owner = head.query_parameter("owned_by");
  std::erase_if(cards, [&](const openai::ListedCard& listed) {
    const bool hidden = visit.key() != nullptr && !visit.key()->allows(listed.card.id);
    return hidden || (owner && !equals_ignoring_case(*owner, listed.card.owned_by));
  });
  if (path == kModels) {
    const std::string body = openai::write_model_list(cards);
    co_await visit.answer().respond(200, "application/json", body);
    co_return true;
  }
  const std::string id = http::percent_decode(path.substr(kModels.size() + 1));
  const auto found =
      std::ranges::find_if(cards, [&](const openai::ListedCard& listed) { return listed.card.id == id; });
  if (found == cards.end()) {
    const auto unknown = shared_.directory->catalog()->find(id, owner.value_or(""));
    const openai::ApiError error =
        unknown ? openai::ApiError{.status = 404,
                                   .code = "model_not_found",
                                   .message = fmt::format("The model `{}` does not exist.", id),
                                   .param = "model"}
                : unknown.error();
    co_await visit.refuse(error, "unknown_model");
    co_return true;
  }
  const std::string body = openai::write_model(*found);
  co_await visit.answer().respond(200, "application/json", body);
  co_return true;
}

Task<std::optional<openai::ApiError>> UnifiedApi::find_model(const UnifiedSelector& selector,
                                                             std::string_view model,
                                                             std::string& target_model) {
  auto catalog = shared_.directory->catalog();
  auto found = catalog->find(model, selector.owner);
  if (!found && catalog->incomplete) {
    co_await wait_for_first_answers();
    catalog = shared_.directory->catalog();
    found = catalog->find(model, selector.owner);
  }
  if (!found) {
    co_return found.error();
  }
  target_model = found->front()->target_model.empty() ? std::string(model) : found->front()->target_model;
  co_return std::nullopt;
}

Task<bool> UnifiedApi::handle(Visit& visit, bool listener_trusted, std::string_view scheme) {
  Answer& exchange = visit.answer();
  const bool listed = co_await list_models(visit);
  if (listed) {
    co_return true;
  }
  const http::RequestHead& head = exchange.request();
  if (proxy::is_grpc(head)) {
    co_return false;  // a call may never end
  }
  const bool has_body = exchange.body().length().value_or(1) != 0;
  const bool names_model = head.headers.has("x-model") || head.query_parameter("model");
  if (lists_models(without_slash(head.path())) && !has_body && !names_model) {
    http::ResponseHead refused{405, {{"Allow", "GET, HEAD"}, {"Content-Type", "application/json"}}};
    const std::string text =
        openai::error_body(405, fmt::format("{} {}: models can be listed only", head.method, head.path()));
    co_await exchange.respond(std::move(refused), text);
    co_return true;
  }
  const auto catalog = shared_.directory->catalog();
  // Without a single backend the list of routes is the better answer.
  if ((!has_body && !names_model && head.method != "POST") ||
      (catalog->mappings.empty() && !catalog->incomplete)) {
    co_return false;
  }
  openai::RequestScan scan;
  HeldBody body(shared_.held_bytes, shared_.options.held_body_bytes);
  const auto total = shared_.end_of(exchange.began());
  auto received = co_await body.receive(exchange.body(), scan, total.or_after(shared_.options.endpoint_wait));
  if (!received) {
    if (received.error().kind == ErrorKind::Unavailable) {
      co_await proxy::answer_error(exchange, received.error());
    }
    co_return true;  // what is malformed, too large or late is answered by the server
  }
  scan.finish();
  const auto& unified = shared_.traffic.configuration.unified;
  const auto selector = read_selector(head, body.bytes(), unified.strict);
  if (!selector) {
    co_await visit.refuse(selector.error(), "bad_request");
    co_return true;
  }
  if (selector->owners.size() > 1) {
    shared_.traffic.metrics.owners_disagreed();
  }
  co_await forward(visit, *selector, scan, body.bytes(), listener_trusted, scheme);
  co_return true;
}

Task<void> UnifiedApi::forward(Visit& visit, const UnifiedSelector& selector, const openai::RequestScan& scan,
                               std::string_view body, bool listener_trusted, std::string_view scheme) {
  const http::RequestHead& arrived = visit.answer().request();
  proxy::RelayRequest request;
  request.head.method = arrived.method;
  request.head.target = without_selector(arrived.target);
  request.head.headers = proxy::forwarded_request_headers(
      arrived.headers,
      {.client = visit.answer().peer(), .scheme = scheme, .request_id = visit.notes().request_id});
  visit.clean(request.head.headers, listener_trusted);

  // The header is only there if it may be. What it names must be allowed like what the body names.
  const std::string asked(rewritten_model(request.head.headers).value_or(selector.model));
  const std::string model(resolve_alias(shared_.traffic.configuration.unified, asked));
  std::string target_model;
  const auto unknown = co_await find_model(selector, model, target_model);
  visit.notes().model_known = !unknown;
  auto forbidden = visit.use_model(selector.model, scan.stream(), body.size());
  if (!forbidden && visit.key() != nullptr && !visit.key()->allows(asked)) {
    forbidden = model_not_allowed(*visit.key(), asked);
  }
  if (forbidden || unknown) {
    co_await visit.refuse(forbidden ? *forbidden : *unknown,
                          forbidden ? "model_not_allowed" : "unknown_model");
    co_return;
  }
  visit.notes().target_model = target_model;
  std::string edited;
  const openai::TopLevelMember* replaced =
      selector.in_body && target_model != selector.model ? &*selector.in_body : nullptr;
  if (replaced != nullptr || !selector.to_remove.empty()) {
    edited = openai::with_members_changed(body, selector.to_remove, replaced, target_model);
  }
  request.body = edited.empty() ? body : std::string_view(edited);

  const http::Headers headers = request.head.headers;  // as the picker may see them
  UnifiedRequest wanted{.request = request_of(scan, headers),
                        .model = model,
                        .owner = selector.owner,
                        .scan = scan,
                        .scanned = body,
                        .headers = headers};
  wanted.request.id = visit.notes().request_id;
  wanted.request.model = selector.model;
  wanted.request.target_model = target_model;
  wanted.request.path = arrived.path();
  wanted.request.body_bytes = request.body.size();
  UnifiedTargets targets(shared_, changed_, visit, wanted);
  const auto outcome = co_await relay(visit, targets, std::move(request), scheme);
  visit.note_outcome(outcome);
}

Task<proxy::RelayOutcome> UnifiedApi::relay(Visit& visit, UnifiedTargets& targets,
                                            proxy::RelayRequest request, std::string_view scheme) {
  const GatewayOptions& options = shared_.options;
  proxy::RelayOptions relaying{.connect = options.connect_timeout,
                               .first_byte = options.first_byte_timeout,
                               .idle = options.idle_timeout,
                               .total = shared_.end_of(visit.answer().began()),
                               .attempts = options.attempts};
  if (co_await targets.asks_elsewhere()) {
    auto outcome = co_await external_.relay(visit, targets.elsewhere(), scheme, request, relaying);
    if (outcome) {
      co_return std::move(*outcome);
    }
    targets.fail_open();
  }
  const bool is_tunnel = proxy::asks_for_upgrade(visit.answer().request());
  if (!is_tunnel) {
    relaying.revocation = &targets.be_evictable(co_await async::current_executor());
  }
  ChosenClient upstream(upstreams_, targets);
  std::optional<proxy::HedgedClient> hedged;
  if (options.hedge_after > Duration::zero()) {
    hedged.emplace(upstream, targets, request.head, options.hedge_after);
  }
  http::Client& client = hedged ? static_cast<http::Client&>(*hedged) : upstream;
  proxy::Targets& traced = visit.trace().traced(targets);
  auto relayed = is_tunnel ? proxy::tunnel(visit.answer(), upstream, traced, std::move(request), relaying)
                           : proxy::relay(visit.answer(), client, traced, std::move(request), relaying);
  auto outcome = co_await std::move(relayed);
  targets.note(outcome, visit.answer());
  co_return outcome;
}

}  // namespace llmd::gateway
