#include "picker/picker.h"

#include <algorithm>
#include <random>

#include "base/log.h"
#include "picker/candidates.h"
#include "picker/evaluate.h"
#include "picker/explain/recorder.h"
#include "picker/fill_decision.h"
#include "picker/flowcontrol/flow_control.h"
#include "picker/gather.h"
#include "picker/metrics/request_metrics.h"
#include "picker/picker_metrics.h"
#include "picker/plan.h"
#include "picker/plugins/agent_identity.h"
#include "picker/saturation.h"
#include "picker/spans.h"

namespace llmd::picker {

namespace {

// What one decision needs; kept per thread so that nothing is allocated once it has grown.
struct Workspace {
  Cycle cycle;
  Evaluation evaluation;
  std::vector<Row> rows;
  std::vector<Row> left_out;
  std::vector<Row> unscreened;
  std::vector<Row> screened;
};

Workspace& workspace() {
  static thread_local Workspace mine;
  return mine;
}

// Gives the snapshot back when the decision is made, so that a quiet thread keeps no endpoint alive.
struct CycleEnd {
  Cycle& cycle;
  ~CycleEnd() { cycle.end(); }
};

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 30;
  value *= 0xbf58476d1ce4e5b9ULL;
  value ^= value >> 27;
  value *= 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

std::uint64_t fresh_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) ^ device();
}

PickerOptions with_seed(PickerOptions options) {
  if (options.load.seed == 0) {
    options.load.seed = fresh_seed();
  }
  return options;
}

// Each screener sees all candidates; who passes all of them stays.
void screen(const Plan& plan, Cycle& cycle, Workspace& space, Stopwatch& watch) {
  if (plan.screeners.empty()) {
    return;
  }
  space.unscreened.assign(space.rows.begin(), space.rows.end());
  for (const Screener* screener : plan.screeners) {
    space.screened.assign(space.unscreened.begin(), space.unscreened.end());
    screener->screen(cycle, space.screened);
    watch.lap(PluginTimes::Point::Screener, *screener);
    std::erase_if(space.rows, [&space](Row row) {
      return std::ranges::find(space.screened, row) == space.screened.end();
    });
  }
}

// Requests that were let through and hold no lease yet are counted as if they were spread evenly.
void add_pending(Cycle& cycle, FlowControl::Pending pending) {
  if (pending.requests <= 0) {
    return;
  }
  const auto rows = static_cast<float>(cycle.rows());
  const float requests = static_cast<float>(pending.requests) / rows;
  const float tokens = static_cast<float>(pending.tokens) / rows;
  for (const auto& [column, share] :
       {std::pair(kInFlightRequests, requests), {kWaiting, requests}, {kInFlightTokens, tokens}}) {
    for (float& value : cycle.fill(column)) {
      value += share;
    }
  }
}

}  // namespace

Picker::Picker() : Picker(least_loaded_plan(), {}) {}

Picker::Picker(std::shared_ptr<const Plan> plan, PickerOptions options)
    : options_(with_seed(std::move(options))), plan_(std::move(plan)) {
  if (options_.explanations > 0) {
    recorder_ = std::make_unique<Recorder>(options_.explanations);
  }
  if (plan_->configuration.flow_control) {
    make_flow_control();
  }
  metrics_ = options_.shared_metrics;
  if (!metrics_ && options_.metrics != nullptr) {
    metrics_ = std::make_shared<PickerMetrics>(*options_.metrics);
  }
  if (metrics_) {
    requests_ = options_.request_metrics ? metrics_->requests() : nullptr;
    metrics_->add_pool(options_.pool, {.look = [this] { return pool_view(); },
                                       .write = [this](Page& page) { write_metrics(page); }});
  }
}

void Picker::refused(const Request& request, std::string_view code) const {
  if (requests_) {
    requests_->refused(request, code);
  }
}

void Picker::know_model(std::string_view model) const {
  if (requests_) {
    requests_->know_model(model);
  }
}

void Picker::parsed(Parsed what, std::string_view path, Duration took, std::uint64_t times) const {
  if (metrics_) {
    plan_->times->parsed(
        what == Parsed::Request ? PluginTimes::Point::RequestParsing : PluginTimes::Point::ResponseParsing,
        path, took, times);
  }
}

Picker::~Picker() {
  if (metrics_) {
    metrics_->remove_pool(options_.pool);
  }
  shut_down();
}

void Picker::make_flow_control() {
  const auto look = [this](FlowControl::Pending pending) -> FlowControl::Pool {
    static thread_local Cycle cycle;
    static thread_local std::vector<Row> rows;
    static const Request kNoRequest;
    cycle.begin(kNoRequest, snapshot_.load(), plan_->names, 0, 1, options_.clock->now());
    const CycleEnd end{cycle};
    if (cycle.rows() == 0) {
      return {1, true, 0};
    }
    gather(cycle);
    add_pending(cycle, pending);
    return {pool_saturation(*plan_, cycle, rows).effective, false, cycle.snapshot().running()};
  };
  const auto has = [this](const EndpointState& endpoint) {
    const auto snapshot = snapshot_.load();
    return std::ranges::any_of(snapshot->endpoints,
                               [&endpoint](const EndpointPtr& one) { return one.get() == &endpoint; });
  };
  flow_ = std::make_shared<FlowControl>(plan_, options_.shed_status, *options_.clock, look, has);
}

Result<std::unique_ptr<Picker>> Picker::from_config(std::string_view text, std::string_view source_name,
                                                    PickerOptions options) {
  LLMD_TRY(auto configuration, parse_configuration(text, source_name, options.load));
  return from_config(std::move(configuration), std::move(options));
}

Result<std::unique_ptr<Picker>> Picker::from_config(Configuration configuration, PickerOptions options) {
  LLMD_TRY(auto plan, build_plan(std::move(configuration),
                                 {.load = options.load, .clock = options.clock, .tracer = options.tracer}));
  for (const std::string& warning : plan->configuration.warnings) {
    log::warning("endpoint picker configuration", {{"problem", warning}});
  }
  return std::unique_ptr<Picker>(new Picker(std::move(plan), std::move(options)));
}

std::unexpected<Rejection> Picker::reject(const Cycle& cycle, const Stages& stages,
                                          Rejection rejection) const {
  if (recorder_) {
    recorder_->record(*plan_, cycle, stages, options_.clock->wall_now(), rejection.message);
  }
  if (metrics_) {
    metrics_->rejected(cycle, options_.clock->now() - cycle.now());
  }
  return std::unexpected(std::move(rejection));
}

// An agent's session is its flow where no header names another one.
Request Picker::with_flow(Request request) const {
  const auto flow = plan_->identity != nullptr && request.fairness_id == kDefaultFairnessId
                        ? plan_->identity->of(request.headers)
                        : std::nullopt;
  request.fairness_id = flow.value_or(request.fairness_id);
  return request;
}

PickResult<Decision> Picker::pick(const Request& request, std::span<const EndpointPtr> exclude,
                                  const SpanParent* parent) const {
  return plan_->identity != nullptr ? pick_now(with_flow(request), exclude, parent)
                                    : pick_now(request, exclude, parent);
}

PickResult<Decision> Picker::pick_now(const Request& request, std::span<const EndpointPtr> exclude,
                                      const SpanParent* parent) const {
  Workspace& space = workspace();
  Cycle& cycle = space.cycle;
  static const Stages kNothing;
  const std::uint64_t sequence = sequence_.fetch_add(1, std::memory_order_relaxed);
  cycle.begin(request, snapshot_.load(), plan_->names, sequence, mix(options_.load.seed + sequence),
              options_.clock->now());
  cycle.set_spans(parent);
  const CycleEnd end{cycle};
  list_candidates(request, exclude, options_.subset_filter, cycle.snapshot(), space.rows, space.left_out);
  cycle.set_left_out(space.left_out);
  if (space.rows.empty()) {
    return reject(cycle, kNothing,
                  no_endpoints(exclude.empty() ? "failed to find endpoint candidates for serving the request"
                                               : fmt::format("all {} endpoints have failed for this request",
                                                             exclude.size())));
  }
  gather(cycle);
  Stopwatch watch(metrics_ ? plan_->times.get() : nullptr, PluginTimes::weight_of(sequence));
  screen(*plan_, cycle, space, watch);
  if (space.rows.empty()) {
    return reject(cycle, kNothing, no_endpoints("screeners eliminated all endpoint candidates"));
  }
  cycle.set_candidates(space.rows);
  if (!flow_ && request.priority < 0 && plan_->detector != nullptr &&
      plan_->detector->saturation(cycle, cycle.candidates()) >= 1) {
    return reject(cycle, kNothing,
                  saturated("system saturated, sheddable request dropped", options_.shed_status));
  }
  watch.restart();
  for (const Producer* producer : plan_->producers) {
    producer->produce(cycle);
    watch.lap(PluginTimes::Point::DataProducer, *producer);
  }
  for (const Admitter* admitter : plan_->admitters) {
    const bool admitted = admitter->admits(cycle);
    watch.lap(PluginTimes::Point::Admission, *admitter);
    if (!admitted) {
      return reject(cycle, kNothing,
                    saturated("request cannot be admitted: " + admitter->name, options_.shed_status));
    }
  }
  const auto evaluated = space.evaluation.run(*plan_, cycle, &watch, parent);
  if (!evaluated || space.evaluation.stages().primary.empty()) {
    if (space.evaluation.filters_drained()) {
      return reject(cycle, kNothing, saturated("no endpoints available for the given request"));
    }
    return reject(cycle, kNothing,
                  not_scheduled(evaluated ? "nothing was picked" : evaluated.error().message));
  }
  return conclude(request, cycle, space.evaluation, watch);
}

PickResult<Decision> Picker::conclude(const Request& request, const Cycle& cycle,
                                      const Evaluation& evaluation, Stopwatch& watch) const {
  const Stages& stages = evaluation.stages();
  const Row chosen = stages.primary.front();
  Decision decision;
  if (plan_->prediction && cycle.scalar(plan_->prediction->total) > 0) {
    decision.predicted_cached_tokens = static_cast<std::int64_t>(
        cycle.at(plan_->prediction->cached, chosen) * cycle.scalar(plan_->prediction->block_tokens));
  }
  if (decision.predicted_cached_tokens <= 0 && request.headers.find("prefer") == "if-available") {
    return reject(cycle, stages, precondition_failed("no decode worker has the requested KV cache"));
  }
  decision.clock_ = options_.clock;
  decision.plan_ = plan_;
  decision.flow_ = flow_;
  decision.candidates = static_cast<int>(cycle.candidates().size());
  decision.left_out = static_cast<int>(cycle.left_out().size());
  remember(request, cycle.now(), decision);
  {
    const trace::Span span =
        begin_span(plan_->handler->is_disaggregating() ? cycle.spans() : nullptr, "prepare_disaggregation");
    name_stages(request, cycle, stages, decision);
  }
  take_leases(*plan_, cycle, stages, decision);
  if (const ProfileTrace* trace = evaluation.trace_of(stages.primary_profile)) {
    for (std::size_t i = 0; i < trace->rows.size(); ++i) {
      if (trace->rows[i] == chosen) {
        decision.score = static_cast<float>(trace->totals[i]);
      }
      if (options_.emit_scores && stages.primary_port < 0) {
        decision.scores.emplace_back(cycle.snapshot().endpoints[trace->rows[i]],
                                     static_cast<float>(trace->totals[i]));
      }
    }
  }
  if (recorder_) {
    decision.explanation_id = recorder_->record(*plan_, cycle, stages, options_.clock->wall_now(), {});
  }
  watch.restart();
  for (const RequestHook* hook : plan_->hooks) {
    hook->dispatched(cycle, stages, decision);
    watch.lap(PluginTimes::Point::PreRequest, *hook);
  }
  decision.memory.measured = watch.weight();
  if (requests_) {
    decision.requests_ = requests_;
    requests_->began(decision.memory);
  }
  if (metrics_) {
    metrics_->decided(*plan_, cycle, stages, options_.clock->now() - cycle.now());
  }
  return decision;
}

PickResult<Decision> Picker::pick_any(const Request& request) const {
  const auto snapshot = snapshot_.load();
  std::vector<Row> rows;
  std::vector<Row> left_out;
  list_candidates(request, {}, options_.subset_filter, *snapshot, rows, left_out);
  if (rows.empty()) {
    return std::unexpected(Rejection{500, "Internal", "no pods available in datastore", {}, 0});
  }
  const std::uint64_t sequence = sequence_.fetch_add(1, std::memory_order_relaxed);
  Decision decision;
  decision.lease = Lease(snapshot->endpoints[rows[mix(options_.load.seed + sequence) % rows.size()]]);
  decision.candidates = static_cast<int>(rows.size());
  return decision;
}

Task<PickResult<Decision>> Picker::decide(Request request, async::Deadline deadline,
                                          const SpanParent* parent) const {
  if (!flow_) {
    const std::string agreed = co_await agree(request, deadline);
    request.agreed_endpoint = agreed;
    co_return pick(request, {}, parent);
  }
  const auto flow = flow_;
  request = with_flow(std::move(request));
  trace::Span wait = begin_span(parent, "flow_control_wait");
  auto admitted = co_await flow->admit(request, deadline);
  if (!admitted) {
    wait.fail(admitted.error().message);
    co_return std::unexpected(std::move(admitted).error());
  }
  const FlowControl::Admission room = std::move(*admitted);  // until the decision holds its lease
  wait.end();
  const std::string agreed = co_await agree(request, deadline);
  request.agreed_endpoint = agreed;
  co_return pick(request, {}, parent);
}

bool Picker::waits() const {
  return flow_ != nullptr || plan_->holder != nullptr;
}

// With those that arrive at the same time. Candidates are listed for the first of them; when a request is
// picked for, its own are listed, because others may be there by then.
Task<std::string> Picker::agree(const Request& request, async::Deadline deadline) const {
  if (plan_->holder == nullptr) {
    co_return std::string();
  }
  const auto plan = plan_;
  const Holder::Candidates candidates = [this, &request] {
    const auto snapshot = snapshot_.load();
    std::vector<Row> rows;
    std::vector<Row> left_out;
    list_candidates(request, {}, options_.subset_filter, *snapshot, rows, left_out);
    std::vector<EndpointPtr> listed;
    for (const Row row : rows) {
      listed.push_back(snapshot->endpoints[row]);
    }
    return listed;
  };
  co_return co_await plan->holder->hold(request, candidates, deadline);
}

void Picker::numbers_changed() const {
  if (flow_) {
    flow_->poke();
  }
}

void Picker::set_priorities(std::span<const int> priorities) const {
  if (flow_) {
    flow_->set_priorities(priorities);
  }
}

void Picker::shut_down() const {
  if (flow_) {
    flow_->shut_down();
  }
}

void Picker::update(std::vector<Endpoint> endpoints) {
  const auto next =
      next_snapshot(*snapshot_.load(), std::move(endpoints), plan_->predicates, plan_->custom_metrics.size());
  for (const EndpointWatcher* watcher : plan_->watchers) {
    watcher->endpoints_changed(*next);
  }
  snapshot_.store(next);
  for (std::size_t row = 0; row < next->endpoints.size(); ++row) {
    next->endpoints[row]->describe(next->described[row]);
  }
  numbers_changed();
}

}  // namespace llmd::picker
