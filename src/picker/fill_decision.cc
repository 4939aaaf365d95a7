#include "picker/fill_decision.h"

namespace llmd::picker {
namespace {

std::int64_t uncached_tokens(const Plan& plan, const Cycle& cycle, Row row) {
  return plan.uncached_tokens ? static_cast<std::int64_t>(cycle.at(*plan.uncached_tokens, row))
                              : cycle.request().prompt_tokens();
}

}  // namespace

void remember(const Request& request, TimePoint now, Decision& decision) {
  Decision::Memory& memory = decision.memory;
  memory.request_id = request.id;
  memory.model = request.model;
  memory.target_model = request.target();
  memory.fairness_id = request.fairness_id;
  memory.priority = request.priority;
  memory.stream = request.stream;
  memory.received = request.received == TimePoint() ? now : request.received;
  memory.decided = now;
  memory.request_bytes = request.body_bytes;
  memory.prompt_tokens = request.prompt_tokens();
}

void name_stages(const Request& request, const Cycle& cycle, const Stages& stages, Decision& decision) {
  static constexpr std::string_view kPrefill = "x-prefiller-host-port";
  static constexpr std::string_view kEncode = "x-encoder-hosts-ports";
  static constexpr std::string_view kRank = "x-data-parallel-host-port";
  for (const std::string_view name : {kPrefill, kEncode, kRank}) {
    if (request.headers.find(name)) {
      decision.headers.remove(name);
    }
  }
  if (stages.prefill) {
    decision.headers.set(kPrefill, cycle.endpoint(*stages.prefill).destination);
  }
  if (!stages.encode.empty()) {
    std::string all;
    for (const Row row : stages.encode) {
      all += (all.empty() ? "" : ",") + cycle.endpoint(row).destination;
    }
    decision.headers.set_copy(kEncode, std::move(all));
  }
  if (stages.primary_port >= 0) {
    decision.primary_port = stages.primary_port;
    decision.headers.set(kRank, cycle.endpoint(stages.primary.front()).destination);
  }
}

void take_leases(const Plan& plan, const Cycle& cycle, const Stages& stages, Decision& decision) {
  const auto& endpoints = cycle.snapshot().endpoints;
  const Row chosen = stages.primary.front();
  decision.lease = Lease(endpoints[chosen], uncached_tokens(plan, cycle, chosen));
  for (std::size_t i = 1; i < stages.primary.size(); ++i) {
    decision.fallbacks.push_back(endpoints[stages.primary[i]]);
  }
  if (stages.prefill) {
    decision.prefill_lease = Lease(endpoints[*stages.prefill], uncached_tokens(plan, cycle, *stages.prefill));
  }
  for (const Row row : stages.encode) {
    decision.encode_leases.emplace_back(endpoints[row]);
  }
}

}  // namespace llmd::picker
