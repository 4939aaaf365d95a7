#include "picker/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "json/path.h"
#include "picker/explain/recorder.h"

namespace llmd::picker {
namespace {

using Snapshots = std::map<std::uint64_t, std::shared_ptr<const EndpointSnapshot>>;

std::string string_or(const json::Value& root, std::string_view path) {
  return std::string(json::string_at(root, path).value_or(""));
}

std::int64_t int_or(const json::Value& root, std::string_view path) {
  return json::int_at(root, path).value_or(0);
}

std::uint64_t unsigned_at(const json::Value& root, const char* name) {
  const json::Value* value = json::find(root, name);
  return value != nullptr && value->is_number() ? value->to_number<std::uint64_t>() : 0;
}

Result<Endpoint> read_endpoint(const json::Value& item) {
  Endpoint endpoint;
  const std::int64_t port = int_or(item, "port");
  if (port < 0 || port > 65535) {
    return invalid_argument("port {} is out of range", port);
  }
  endpoint.address = {string_or(item, "address"), static_cast<std::uint16_t>(port)};
  endpoint.name = string_or(item, "name");
  endpoint.namespace_ = string_or(item, "namespace");
  endpoint.rank = static_cast<int>(int_or(item, "rank"));
  if (const auto* labels = json::object_at(item, "labels")) {
    for (const auto& label : *labels) {
      if (label.value().is_string()) {
        endpoint.labels[std::string(label.key())] = std::string(label.value().get_string());
      }
    }
  }
  return endpoint;
}

Result<Snapshots> read_snapshots(const json::Value& document, const Plan& plan) {
  Snapshots snapshots;
  const auto* list = json::array_at(document, "snapshots");
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    std::vector<Endpoint> endpoints;
    const auto* items = json::array_at((*list)[i], "endpoints");
    for (std::size_t j = 0; items != nullptr && j < items->size(); ++j) {
      LLMD_TRY(endpoints.emplace_back(), read_endpoint((*items)[j]));
    }
    if (endpoints.size() > std::numeric_limits<Row>::max()) {
      return invalid_argument("snapshots[{}]: too many endpoints", i);
    }
    snapshots[unsigned_at((*list)[i], "version")] =
        next_snapshot({}, std::move(endpoints), plan.predicates, plan.custom_metrics.size());
  }
  return snapshots;
}

Result<std::vector<Row>> read_rows(const json::Value& item, std::string_view name, std::size_t rows) {
  std::vector<Row> read;
  const auto* list = json::array_at(item, name);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto row = json::as_integer((*list)[i]);
    if (!row || *row < 0 || static_cast<std::size_t>(*row) >= rows) {
      return invalid_argument("{}[{}]: there is no such endpoint", name, i);
    }
    read.push_back(static_cast<Row>(*row));
  }
  return read;
}

float number_or(const json::Value& value, float absent) {
  return value.is_number() ? value.to_number<float>() : absent;
}

void read_values(const json::Value& item, const Plan& plan, Recorded& into) {
  const std::size_t rows = into.snapshot->endpoints.size();
  const auto* values = json::object_at(item, "values");
  for (std::size_t column = 0; values != nullptr && column < plan.names.columns().size(); ++column) {
    const json::Value* found = values->if_contains(plan.names.columns()[column]);
    const auto* list = found != nullptr ? found->if_array() : nullptr;
    if (list != nullptr && list->size() == rows) {
      // What is no number was infinite (ages) or absent (attributes).
      const float absent = column == kAge ? std::numeric_limits<float>::infinity() : EngineReport::kAbsent;
      into.columns.push_back(static_cast<Column>(column));
      for (const json::Value& value : *list) {
        into.values.push_back(number_or(value, absent));
      }
    }
  }
  const auto* scalars = json::object_at(item, "scalars");
  for (const std::string& name : plan.names.scalars()) {
    const json::Value* found = scalars != nullptr ? scalars->if_contains(name) : nullptr;
    into.scalars.push_back(found != nullptr ? number_or(*found, 0) : 0);
  }
}

Result<Recorded> read_decision(const json::Value& item, const Plan& plan, const Snapshots& snapshots) {
  Recorded into;
  into.id = unsigned_at(item, "id");
  into.sequence = unsigned_at(item, "sequence");
  into.seed = unsigned_at(item, "seed");
  const auto snapshot = snapshots.find(unsigned_at(item, "snapshot"));
  if (snapshot == snapshots.end()) {
    return invalid_argument("its snapshot is missing");
  }
  into.snapshot = snapshot->second;
  into.request_id = string_or(item, "request.id");
  into.model = string_or(item, "request.model");
  into.target = string_or(item, "request.targetModel");
  into.path = string_or(item, "request.path");
  into.fairness_id = string_or(item, "request.fairnessId");
  into.priority = static_cast<int>(int_or(item, "request.priority"));
  into.stream = json::bool_at(item, "request.stream").value_or(false);
  into.multimodal = json::bool_at(item, "request.multimodal").value_or(false);
  into.prompt_tokens = int_or(item, "request.promptTokens");
  into.prompt_bytes = int_or(item, "request.promptBytes");
  into.max_tokens = int_or(item, "request.maxTokens");
  const auto* headers = json::object_at(item, "request.headers");
  for (const std::string& name : plan.headers) {
    const json::Value* found = headers != nullptr ? headers->if_contains(name) : nullptr;
    into.headers.push_back(found != nullptr && found->is_string() ? std::string(found->get_string()) : "");
  }
  const std::size_t rows = into.snapshot->endpoints.size();
  LLMD_TRY(into.candidates, read_rows(item, "candidates", rows));
  LLMD_TRY(into.primary, read_rows(item, "primary", rows));
  LLMD_TRY(into.encode, read_rows(item, "encode", rows));
  if (const auto prefill = json::int_at(item, "prefill")) {
    if (*prefill < 0 || static_cast<std::size_t>(*prefill) >= rows) {
      return invalid_argument("prefill: there is no such endpoint");
    }
    into.prefill = static_cast<Row>(*prefill);
  }
  into.rejection = string_or(item, "rejection");
  read_values(item, plan, into);
  return into;
}

std::string destination(const Recorded& recorded, std::span<const Row> rows) {
  return rows.empty() ? std::string() : recorded.snapshot->endpoints[rows.front()]->destination;
}

std::string destination(const Recorded& recorded, std::optional<Row> row) {
  return row ? recorded.snapshot->endpoints[*row]->destination : std::string();
}

std::optional<double> score_of(const Evaluation& evaluation, std::span<const Row> rows) {
  const ProfileTrace* trace = evaluation.trace_of(evaluation.stages().primary_profile);
  if (trace == nullptr || rows.empty()) {
    return std::nullopt;
  }
  const auto found = std::ranges::find(trace->rows, rows.front());
  const auto at = static_cast<std::size_t>(found - trace->rows.begin());
  return at < trace->totals.size() ? std::optional(trace->totals[at]) : std::nullopt;
}

ReplayedDecision decide_again(const Plan& plan, const Recorded& recorded, Cycle& cycle,
                              Evaluation& evaluation) {
  const RecordedHeaders headers{plan.headers, recorded.headers};
  const Request request = recorded_request(recorded, headers);
  ReplayedDecision again;
  again.id = recorded.id;
  again.request_id = recorded.request_id;
  if (recorded.primary.empty()) {
    return again;  // rejected before or instead of a choice; configurations differ in choices only
  }
  recorded.restore(plan, request, cycle);
  const auto evaluated = evaluation.run(plan, cycle);
  const Stages& stages = evaluation.stages();
  again.then = destination(recorded, recorded.primary);
  again.then_prefill = destination(recorded, recorded.prefill);
  if (evaluated) {
    again.now = destination(recorded, stages.primary);
    again.now_prefill = destination(recorded, stages.prefill);
    again.then_score = score_of(evaluation, recorded.primary);
    again.now_score = score_of(evaluation, stages.primary);
  }
  return again;
}

// Columns that plugins of the configuration use beyond the basic ones and no decision of the file has.
std::vector<std::string> missing_data(const json::Array& decisions, const Plan& plan) {
  std::set<std::string> present;
  for (const json::Value& decision : decisions) {
    if (const auto* scalars = json::object_at(decision, "scalars")) {
      for (const auto& member : *scalars) {
        present.emplace(member.key());
      }
    }
  }
  std::vector<std::string> missing;
  for (const std::string& name : plan.names.scalars()) {
    if (!decisions.empty() && !present.contains(name)) {
      missing.push_back(name);
    }
  }
  return missing;
}

}  // namespace

Result<ReplayReport> replay(std::string_view explanations, std::string_view configuration,
                            std::string_view configuration_name) {
  LLMD_TRY(const json::Value document, json::parse(explanations));
  if (json::string_at(document, "format") != "llmd-explanations/1") {
    return invalid_argument("the file holds no explanations of a picker");
  }
  const bool given = !configuration.empty();
  const std::string recorded_text = string_or(document, "config");
  const LoadOptions load{.allow_experimental = true};
  LLMD_TRY(auto parsed, parse_configuration(
                            given ? configuration : std::string_view(recorded_text),
                            given ? configuration_name : std::string_view("recorded configuration"), load));
  LLMD_TRY(const auto plan, build_plan(std::move(parsed), {.load = load}));
  LLMD_TRY(const Snapshots snapshots, read_snapshots(document, *plan));
  const auto* decisions = json::array_at(document, "decisions");
  if (decisions == nullptr) {
    return invalid_argument("decisions: is missing");
  }
  ReplayReport report;
  report.missing = missing_data(*decisions, *plan);
  Cycle cycle;
  Evaluation evaluation;
  for (std::size_t i = 0; i < decisions->size(); ++i) {
    auto recorded = read_decision((*decisions)[i], *plan, snapshots);
    if (!recorded) {
      return std::unexpected(std::move(recorded).error().within(fmt::format("decisions[{}]", i)));
    }
    const auto again = decide_again(*plan, *recorded, cycle, evaluation);
    ++(again.same() ? report.same : report.different);
    report.rejected += recorded->primary.empty() ? 1 : 0;
    report.decisions.push_back(again);
  }
  return report;
}

}  // namespace llmd::picker
