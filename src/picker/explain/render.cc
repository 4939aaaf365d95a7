#include "picker/explain/render.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

namespace llmd::picker {
namespace {

json::Value text(std::string_view view) {
  return json::Value(boost::json::string_view(view.data(), view.size()));
}

json::Value number(float value) {
  return std::isfinite(value) ? json::Value(static_cast<double>(value)) : json::Value(nullptr);
}

json::Array rows_of(std::span<const Row> rows) {
  json::Array array;
  for (const Row row : rows) {
    array.emplace_back(row);
  }
  return array;
}

json::Value destination(const Recorded& recorded, Row row) {
  return text(recorded.snapshot->endpoints[row]->destination);
}

json::Array left_out_of(const Recorded& recorded) {
  json::Array endpoints;
  for (const Row row : recorded.left_out) {
    endpoints.push_back(json::Value{{"endpoint", destination(recorded, row)},
                                    {"name", recorded.snapshot->endpoints[row]->full_name},
                                    {"reason", "refuses connections"}});
  }
  return endpoints;
}

json::Object profile_of(const Plan& plan, const Recorded& recorded, const ProfileTrace& trace) {
  const Profile& profile = plan.profiles[trace.profile];
  json::Array filters;
  for (std::size_t i = 0; i < trace.left.size(); ++i) {
    filters.push_back(json::Value{{"filter", profile.filters[i]->name}, {"left", trace.left[i]}});
  }
  json::Array endpoints;
  for (std::size_t i = 0; i < trace.rows.size() && !trace.totals.empty(); ++i) {
    json::Object scores;
    for (std::size_t scorer = 0; scorer < profile.scorers.size(); ++scorer) {
      scores[profile.scorers[scorer].scorer->name] =
          number(trace.contributions[scorer * trace.rows.size() + i]);
    }
    endpoints.push_back(json::Value{{"endpoint", destination(recorded, trace.rows[i])},
                                    {"name", recorded.snapshot->endpoints[trace.rows[i]]->full_name},
                                    {"scores", std::move(scores)},
                                    {"total", trace.totals[i]}});
  }
  json::Array picks;
  for (const Row row : trace.picks) {
    picks.push_back(destination(recorded, row));
  }
  json::Object object;
  object["profile"] = profile.name;
  object["filters"] = std::move(filters);
  object["endpoints"] = std::move(endpoints);
  object["picker"] = profile.picker->name;
  object["picked"] = std::move(picks);
  return object;
}

json::Object request_of(const Plan& plan, const Recorded& recorded) {
  json::Object headers;
  for (std::size_t i = 0; i < plan.headers.size() && i < recorded.headers.size(); ++i) {
    if (!recorded.headers[i].empty()) {
      headers[plan.headers[i]] = recorded.headers[i];
    }
  }
  json::Object request;
  request["id"] = recorded.request_id;
  request["model"] = recorded.model;
  request["targetModel"] = recorded.target;
  request["path"] = recorded.path;
  request["fairnessId"] = recorded.fairness_id;
  request["priority"] = recorded.priority;
  request["stream"] = recorded.stream;
  request["multimodal"] = recorded.multimodal;
  request["promptTokens"] = recorded.prompt_tokens;
  request["promptBytes"] = recorded.prompt_bytes;
  request["maxTokens"] = recorded.max_tokens;
  request["headers"] = std::move(headers);
  return request;
}

json::Object facts_of(const Plan& plan, const Recorded& recorded) {
  const std::size_t rows = recorded.snapshot->endpoints.size();
  json::Object values;
  for (std::size_t i = 0; i < recorded.columns.size(); ++i) {
    json::Array column;
    for (std::size_t row = 0; row < rows; ++row) {
      column.push_back(number(recorded.values[i * rows + row]));
    }
    values[plan.names.columns()[recorded.columns[i]]] = std::move(column);
  }
  json::Object scalars;
  for (std::size_t i = 0; i < recorded.scalars.size(); ++i) {
    scalars[plan.names.scalars()[i]] = number(recorded.scalars[i]);
  }
  json::Object facts;
  facts["id"] = recorded.id;
  facts["request"] = request_of(plan, recorded);
  facts["snapshot"] = recorded.snapshot->version;
  facts["sequence"] = recorded.sequence;
  facts["seed"] = recorded.seed;
  facts["candidates"] = rows_of(recorded.candidates);
  facts["values"] = std::move(values);
  facts["scalars"] = std::move(scalars);
  facts["primary"] = rows_of(recorded.primary);
  facts["prefill"] = recorded.prefill ? json::Value(*recorded.prefill) : json::Value(nullptr);
  facts["encode"] = rows_of(recorded.encode);
  if (!recorded.rejection.empty()) {
    facts["rejection"] = recorded.rejection;
  }
  return facts;
}

json::Object snapshot_of(const EndpointSnapshot& snapshot) {
  json::Array endpoints;
  for (const EndpointDescription& described : snapshot.described) {
    const Endpoint& endpoint = *described;
    json::Object labels;
    for (const auto& [key, value] : endpoint.labels) {
      labels[key] = value;
    }
    endpoints.push_back(json::Value{{"name", endpoint.name},
                                    {"namespace", endpoint.namespace_},
                                    {"address", endpoint.address.host},
                                    {"port", endpoint.address.port},
                                    {"rank", endpoint.rank},
                                    {"labels", std::move(labels)}});
  }
  json::Object object;
  object["version"] = snapshot.version;
  object["endpoints"] = std::move(endpoints);
  return object;
}

}  // namespace

json::Value explanation_of(const Plan& plan, const Recorded& recorded) {
  json::Object object;
  object["id"] = recorded.id;
  object["time"] = to_rfc3339(recorded.time);
  object["request"] = request_of(plan, recorded);
  object["candidates"] = recorded.candidates.size();
  if (!recorded.left_out.empty()) {
    object["leftOut"] = left_out_of(recorded);
  }
  if (!recorded.rejection.empty()) {
    object["rejected"] = recorded.rejection;
  }
  if (!recorded.candidates.empty() && recorded.rejection.empty()) {
    const RecordedHeaders headers{plan.headers, recorded.headers};
    const Request request = recorded_request(recorded, headers);
    Cycle cycle;
    Evaluation evaluation;
    recorded.restore(plan, request, cycle);
    const auto evaluated = evaluation.run(plan, cycle);
    json::Array profiles;
    for (const ProfileTrace& trace : evaluation.traces()) {
      profiles.push_back(profile_of(plan, recorded, trace));
    }
    object["profiles"] = std::move(profiles);
    object["handler"] = plan.handler->name;
    static_cast<void>(evaluated);  // what was chosen then is recorded
  }
  if (!recorded.primary.empty()) {
    object["chosen"] = destination(recorded, recorded.primary.front());
  }
  if (recorded.prefill) {
    object["prefill"] = destination(recorded, *recorded.prefill);
  }
  return json::Value(std::move(object));
}

std::string export_of(const Plan& plan, std::span<const Recorded> decisions) {
  json::Array snapshots;
  json::Array facts;
  std::set<std::uint64_t> written;
  for (const Recorded& recorded : decisions) {
    if (written.insert(recorded.snapshot->version).second) {
      snapshots.push_back(snapshot_of(*recorded.snapshot));
    }
    facts.push_back(facts_of(plan, recorded));
  }
  json::Object document;
  document["format"] = "llmd-explanations/1";
  document["source"] = plan.configuration.source_name;
  document["config"] = plan.configuration.text;
  document["experimental"] = plan.load.allow_experimental;
  document["snapshots"] = std::move(snapshots);
  document["decisions"] = std::move(facts);
  return json::write(json::Value(std::move(document))) + "\n";
}

}  // namespace llmd::picker
