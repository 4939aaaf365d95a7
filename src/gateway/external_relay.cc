#include "gateway/external_relay.h"

#include <algorithm>

#include "base/log.h"
#include "gateway/picked_targets.h"
#include "gateway/picker_answer.h"
#include "gateway/whole_body.h"
#include "http/grpc_status.h"
#include "proxy/duplex.h"
#include "proxy/tunnel.h"

namespace llmd::gateway {
namespace {

// Bytes of a changed body count like those of the body that arrived.
class CountedBytes {
 public:
  CountedBytes(std::atomic<std::size_t>& held, std::size_t bytes) : held_(held), bytes_(bytes) {
    held_.fetch_add(bytes_, std::memory_order_relaxed);
  }
  CountedBytes(const CountedBytes&) = delete;
  ~CountedBytes() { held_.fetch_sub(bytes_, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t>& held_;
  std::size_t bytes_;
};

// As Envoy has it when a processor answers a call in HTTP's words.
http::GrpcCode grpc_code(int status) {
  using enum http::GrpcCode;
  constexpr std::pair<int, http::GrpcCode> kCodes[] = {
      {400, Internal},    {401, Unauthenticated}, {403, PermissionDenied}, {404, Unimplemented},
      {429, Unavailable}, {502, Unavailable},     {503, Unavailable},      {504, Unavailable}};
  const auto found = std::ranges::find(kCodes, status, &std::pair<int, http::GrpcCode>::first);
  return found == std::end(kCodes) ? Unknown : found->second;
}

}  // namespace

struct ExternalRelay::Decision {
  std::unique_ptr<PickerCall> call;
  Picked picked;
};

Task<Result<void>> ExternalRelay::decide(const ExternalPicker& picker, std::string_view scheme,
                                         const proxy::RelayRequest& request, Decision& decision) {
  const auto connect_by = async::Deadline::after(shared_.options.connect_timeout);
  LLMD_CO_TRY(auto client, co_await links_.get(picker, connect_by));
  LLMD_CO_TRY(decision.call, PickerCall::open(std::move(client)));
  LLMD_CO_TRY(decision.picked, co_await decision.call->pick(request.head, request.body, scheme,
                                                            shared_.options.max_body_bytes));
  co_return Result<void>();
}

Task<std::optional<proxy::RelayOutcome>> ExternalRelay::relay(Visit& visit, ExternallyPicked backend,
                                                              std::string_view scheme,
                                                              proxy::RelayRequest& request,
                                                              const proxy::RelayOptions& options) {
  return relay_as(Speech::Http, visit, backend, scheme, request, options);
}

Task<std::optional<proxy::RelayOutcome>> ExternalRelay::relay_call(Visit& visit, ExternallyPicked backend,
                                                                   std::string_view scheme,
                                                                   proxy::RelayRequest& request,
                                                                   const proxy::RelayOptions& options) {
  return relay_as(Speech::Grpc, visit, backend, scheme, request, options);
}

Task<std::optional<proxy::RelayOutcome>> ExternalRelay::relay_as(Speech speech, Visit& visit,
                                                                 ExternallyPicked backend,
                                                                 std::string_view scheme,
                                                                 proxy::RelayRequest& request,
                                                                 const proxy::RelayOptions& options) {
  const bool grpc = speech == Speech::Grpc;
  const ExternalPicker& picker = backend.picker;
  Decision decision;
  const auto deadline = options.total.or_after(shared_.options.picker_timeout);
  trace::Span asking = visit.trace().begin("ask picker", trace::SpanKind::Client);
  asking.set("llmd.picker", std::string_view(picker.name));
  visit.trace().mark(request.head.headers, asking);
  auto decided =
      co_await async::with_deadline(deadline, "its decision", decide(picker, scheme, request, decision));
  if (!decided) {
    Error error = std::move(decided).error().within("endpoint picker " + picker.name);
    asking.fail(error.text());
    const bool late = options.total.expired();
    shared_.metrics.external_picks.with({picker.name, picker.fail_open ? "failed_open" : "failed_closed"})
        ->add();
    log::warning("no decision", {{"error", error.text()}, {"goes on", picker.fail_open && !late}});
    if (picker.fail_open && !late) {
      co_return std::nullopt;
    }
    const Error answer = late ? std::move(error).within("total deadline") : unavailable("{}", error.text());
    co_await (grpc ? proxy::answer_grpc_error(visit.answer(), answer)
                   : proxy::answer_error(visit.answer(), answer));
    co_return proxy::RelayOutcome{.status = grpc ? 200 : http_status(answer.kind), .error = answer};
  }
  asking.end();
  shared_.metrics.external_picks.with({picker.name, decision.picked.refused ? "refused" : "picked"})->add();
  if (auto& refused = decision.picked.refused) {
    const int status = refused->head.status;
    if (grpc) {
      co_await proxy::answer_grpc_error(visit.answer(),
                                        http::grpc_error({grpc_code(status), std::move(refused->body)}));
      co_return proxy::RelayOutcome{.status = 200, .complete = true, .error = std::nullopt};
    }
    co_await visit.answer().respond(std::move(refused->head), refused->body);
    co_return proxy::RelayOutcome{.status = status, .complete = true, .error = std::nullopt};
  }
  co_return co_await follow(speech, visit, backend, decision, request, options);
}

Task<proxy::RelayOutcome> ExternalRelay::follow(Speech speech, Visit& visit, ExternallyPicked backend,
                                                Decision& decision, proxy::RelayRequest& request,
                                                const proxy::RelayOptions& options) {
  Picked& picked = decision.picked;
  const CountedBytes counted(shared_.held_bytes, picked.body ? picked.body->size() : 0);
  request.head = std::move(picked.head);
  if (picked.body) {
    request.body = *picked.body;
  }
  PickedTargets targets(shared_, visit, std::move(picked.destinations), backend.endpoints);
  proxy::Targets& traced = visit.trace().traced(targets);
  proxy::RelayOutcome outcome;
  if (speech == Speech::Http && proxy::asks_for_upgrade(visit.answer().request())) {
    outcome = co_await proxy::tunnel(visit.answer(), upstreams_.http1_of(backend.protocol), traced,
                                     std::move(request), options);
  } else {
    WholeBody whole(visit.answer(), request.body);  // where a call reads it
    http::Exchange& arrived = speech == Speech::Grpc ? static_cast<http::Exchange&>(whole) : visit.answer();
    PickerAnswer answer(
        arrived, *decision.call,
        {.patience = shared_.options.picker_timeout, .served_by = [&targets] { return targets.current(); }},
        executor_);
    auto both = [&](async::Scope& scope) -> Task<void> {
      scope.spawn("ext_proc answer", answer.pump());
      outcome = speech == Speech::Grpc
                    ? co_await proxy::relay_duplex(answer, upstreams_.http2_of(backend.protocol), traced,
                                                   std::move(request), options)
                    : co_await proxy::relay(answer, upstreams_.of(backend.protocol), traced,
                                            std::move(request), options);
    };
    co_await async::with_scope(executor_, both);
  }
  targets.note(outcome);
  co_return outcome;
}

}  // namespace llmd::gateway
