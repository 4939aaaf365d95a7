// What a picker tells about itself: /debug and /metrics.
#include "picker/datalayer/sources.h"
#include "picker/explain/recorder.h"
#include "picker/explain/render.h"
#include "picker/flowcontrol/flow_control.h"
#include "picker/gather.h"
#include "picker/picker.h"
#include "picker/picker_metrics.h"
#include "picker/plan.h"
#include "picker/saturation.h"

namespace llmd::picker {
namespace {

json::Object labels_of(const Endpoint& endpoint) {
  json::Object labels;
  for (const auto& [key, value] : endpoint.labels) {
    labels[key] = value;
  }
  return labels;
}

}  // namespace

PoolView Picker::pool_view() const {
  PoolView view{.endpoints = snapshot_.load()};
  if (!flow_) {
    return view;
  }
  view.flow_control = true;
  view.waiting = flow_->waiting();
  view.detector = plan_->detector->type;
  Cycle cycle;
  std::vector<Row> rows;
  const Request nobody;
  cycle.begin(nobody, view.endpoints, plan_->names, 0, 1, options_.clock->now());
  if (cycle.rows() == 0) {
    view.saturation = 1;
    return view;
  }
  gather(cycle);
  const PoolSaturation found = pool_saturation(*plan_, cycle, rows);
  view.saturation = found.effective;
  view.prefill_saturation = found.prefill;
  view.decode_saturation = found.decode;
  rows.clear();
  for (std::size_t row = 0; row < cycle.rows(); ++row) {
    rows.push_back(static_cast<Row>(row));
  }
  view.stale = plan_->detector->stale(cycle, rows);
  return view;
}

void Picker::write_metrics(Page& page) const {
  plan_->times->write(page);
  for (const Measured* plugin : plan_->measured) {
    plugin->write(page);
  }
  if (flow_) {
    flow_->write(page, options_.pool);
  }
}

json::Value Picker::debug_state() const {
  json::Array endpoints;
  const TimePoint now = options_.clock->now();
  const auto snapshot = snapshot_.load();
  for (std::size_t row = 0; row < snapshot->endpoints.size(); ++row) {
    const EndpointPtr& endpoint = snapshot->endpoints[row];
    const auto numbers = endpoint->numbers();
    const Duration age = endpoint->age(now);
    json::Object item;
    item["name"] = endpoint->full_name;
    item["address"] = endpoint->destination;
    item["labels"] = labels_of(*snapshot->described[row]);
    item["inFlightRequests"] = endpoint->running();
    item["inFlightTokens"] = endpoint->tokens();
    item["waiting"] = static_cast<double>(numbers.waiting);
    item["running"] = static_cast<double>(numbers.running);
    item["kvUsage"] = static_cast<double>(numbers.kv_usage);
    item["refusesConnections"] = endpoint->unreachable();
    item["ageSeconds"] = age == Duration::max() ? json::Value(nullptr)
                                                : json::Value(std::chrono::duration<double>(age).count());
    endpoints.push_back(std::move(item));
  }
  json::Object plugins;
  for (const Inspectable* plugin : plan_->inspectable) {
    plugins[plugin->name] = json::Value{{"type", plugin->type}, {"state", plugin->state()}};
  }
  json::Array sources;
  for (const Plan::Poll& poll : plan_->polls) {
    const auto problem = poll.source->problem();
    json::Object source;
    source["name"] = poll.source->name;
    source["type"] = poll.source->type;
    source["failedPolls"] = poll.source->failed_polls();
    source["problem"] = problem ? json::Value(problem->message) : json::Value(nullptr);
    if (problem) {
      source["hint"] = problem->advice;
    }
    sources.push_back(std::move(source));
  }
  json::Object state;
  state["pool"] = options_.pool;
  state["decisions"] = sequence_.load(std::memory_order_relaxed);
  state["endpoints"] = std::move(endpoints);
  state["plugins"] = std::move(plugins);
  state["dataSources"] = std::move(sources);
  if (flow_) {
    state["flowControl"] = flow_->state();
  }
  return json::Value(std::move(state));
}

json::Value Picker::explain(std::string_view request_id) const {
  const auto recorded = recorder_ ? recorder_->find(request_id) : std::nullopt;
  return recorded ? explanation_of(*plan_, *recorded) : json::Value(nullptr);
}

json::Value Picker::explain_last(std::size_t count) const {
  json::Array all;
  if (recorder_) {
    for (const Recorded& recorded : recorder_->last(count)) {
      all.push_back(explanation_of(*plan_, recorded));
    }
  }
  return json::Value(std::move(all));
}

std::string Picker::export_explanations() const {
  return export_of(*plan_, recorder_ ? recorder_->last(options_.explanations) : std::vector<Recorded>());
}

}  // namespace llmd::picker
