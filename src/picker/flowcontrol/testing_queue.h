// FlowQueue with what became of its requests. For tests.
#pragma once

#include <gtest/gtest.h>

#include "picker/flowcontrol/flow_queue.h"
#include "picker/plan.h"

namespace llmd::picker {

// A queue with settled requests written down in order.
struct Queue {
  explicit Queue(std::string flow, std::string plugins = "")
      : plan(build_plan(parse_configuration("featureGates: [flowControl]\nplugins: [" + plugins +
                                                "]\nflowControl: {" + flow + "}\n",
                                            "flow")
                            .value(),
                        {.load = {.allow_experimental = true}})
                 .value()),
        queue(plan->configuration.flow, *plan, 429) {}

  // The reason of a refusal, or "" when the request waits.
  std::string add(std::string name, int priority, std::string flow = "f", std::int64_t bytes = 1) {
    auto item = std::make_unique<FlowQueue::Waiting>();
    item->priority = priority;
    item->flow = std::move(flow);
    item->bytes = bytes;
    item->received = now;
    item->slo_ttft_ms = slo;
    item->settle = [this, name](std::optional<Rejection> rejection) {
      settled.push_back(rejection ? name + " " + std::string(rejection->reason) : name);
    };
    const auto added = queue.add(*item, now);
    waiting.push_back(std::move(item));
    return added ? "" : std::string(added.error().reason);
  }
  void dispatch_all(double saturation = 0) {
    while (queue.dispatch_one(saturation, now)) {
    }
  }

  std::shared_ptr<const Plan> plan;
  FlowQueue queue;
  std::vector<std::unique_ptr<FlowQueue::Waiting>> waiting;
  std::vector<std::string> settled;
  TimePoint now{std::chrono::hours(1)};
  double slo = -1;
};

}  // namespace llmd::picker
