// What a replay found, for people and for programs.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "picker/replay.h"

namespace llmd::picker {
namespace {

json::Value number(const std::optional<double>& value) {
  return value ? json::Value(*value) : json::Value(nullptr);
}

json::Value changed_decision(const ReplayedDecision& decision) {
  return json::Value{{"id", decision.id},
                     {"request", decision.request_id},
                     {"then", decision.then},
                     {"now", decision.now},
                     {"thenScore", number(decision.then_score)},
                     {"nowScore", number(decision.now_score)},
                     {"thenPrefill", decision.then_prefill},
                     {"nowPrefill", decision.now_prefill}};
}

std::string with_score(const std::string& endpoint, const std::optional<double>& score) {
  if (endpoint.empty()) {
    return "nobody";
  }
  return score ? fmt::format("{} ({:.3f})", endpoint, *score) : endpoint + " (filtered)";
}

std::string pick_of(const std::string& primary, const std::optional<double>& score,
                    const std::string& prefill) {
  const std::string text = with_score(primary, score);
  return prefill.empty() ? text : fmt::format("{} after {}", text, prefill);
}

double percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void append_shifts(const ReplayReport& report, std::string& out) {
  std::size_t width = sizeof("ENDPOINT") - 1;
  const auto shifts = report.shifts();
  for (const EndpointShift& shift : shifts) {
    width = std::max(width, shift.endpoint.size());
  }
  out += fmt::format("\n{:<{}}  {:>8}  {:>8}  {:>8}\n", "ENDPOINT", width, "THEN", "NOW", "CHANGE");
  for (const EndpointShift& shift : shifts) {
    const auto change = static_cast<long long>(shift.now) - static_cast<long long>(shift.then);
    out +=
        fmt::format("{:<{}}  {:>8}  {:>8}  {:>+8}\n", shift.endpoint, width, shift.then, shift.now, change);
  }
}

void append_examples(const ReplayReport& report, std::size_t examples, std::string& out) {
  if (report.different == 0 || examples == 0) {
    return;
  }
  out += fmt::format("\nchanged decisions ({} of {}; scores are the replayed configuration's)\n",
                     std::min(examples, report.different), report.different);
  for (const ReplayedDecision& decision : report.decisions) {
    if (decision.same()) {
      continue;
    }
    if (examples-- == 0) {
      return;
    }
    out += fmt::format("  {}: {} -> {}\n",
                       decision.request_id.empty() ? fmt::format("#{}", decision.id) : decision.request_id,
                       pick_of(decision.then, decision.then_score, decision.then_prefill),
                       pick_of(decision.now, decision.now_score, decision.now_prefill));
  }
}

}  // namespace

std::vector<EndpointShift> ReplayReport::shifts() const {
  std::map<std::string, EndpointShift> by_endpoint;
  const auto of = [&by_endpoint](const std::string& endpoint) -> EndpointShift& {
    EndpointShift& shift = by_endpoint[endpoint];
    shift.endpoint = endpoint;
    return shift;
  };
  for (const ReplayedDecision& decision : decisions) {
    if (!decision.then.empty()) {
      ++of(decision.then).then;
    }
    if (!decision.now.empty()) {
      ++of(decision.now).now;
    }
  }
  std::vector<EndpointShift> all;
  for (auto& [endpoint, shift] : by_endpoint) {
    all.push_back(std::move(shift));
  }
  return all;
}

json::Value ReplayReport::to_json() const {
  json::Array changed;
  for (const ReplayedDecision& decision : decisions) {
    if (!decision.same()) {
      changed.push_back(changed_decision(decision));
    }
  }
  json::Array unknown;
  for (const std::string& name : missing) {
    unknown.emplace_back(name);
  }
  json::Array endpoints;
  for (const EndpointShift& shift : shifts()) {
    endpoints.push_back(json::Value{{"endpoint", shift.endpoint}, {"then", shift.then}, {"now", shift.now}});
  }
  return json::Value{{"decisions", decisions.size()},
                     {"same", same},
                     {"different", different},
                     {"rejected", rejected},
                     {"missingData", std::move(unknown)},
                     {"endpoints", std::move(endpoints)},
                     {"changed", std::move(changed)}};
}

std::string ReplayReport::to_text(std::size_t examples) const {
  std::string out = fmt::format("{} decisions: {} as they were, {} different ({:.1f} %)\n", decisions.size(),
                                same, different, percent(different, decisions.size()));
  if (rejected > 0) {
    out += fmt::format("{} requests were refused then; these are not decided again\n", rejected);
  }
  for (const std::string& name : missing) {
    out += fmt::format("not recorded, taken as zero: {}\n", name);
  }
  append_shifts(*this, out);
  append_examples(*this, examples, out);
  return out;
}

}  // namespace llmd::picker
