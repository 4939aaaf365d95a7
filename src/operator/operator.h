// The operator: reconciles LLMInferenceService objects. It fills llmisvc::Facts from the API server, compiles
// each service (merge, expand, check, render), applies the difference and writes the status once.
//
// One loop. Every write goes through `client`, which must outlive the operator. A second pass over an
// unchanged service writes nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "kube/client.h"
#include "llmisvc/facts.h"

namespace llmd::operators {

struct OperatorOptions {
  // What the names of presets begin with. Services that were rendered under another prefix keep their
  // presets.
  std::string config_prefix = "kserve-";
  bool pins_presets = true;  // on a cluster; false: every service follows the newest presets
  llmisvc::Platform platform = llmisvc::Platform::Local;
  // Where the default Gateway is reached: http://127.0.0.1:8080. Services are shown below it; empty: the
  // Gateway's status says.
  std::string gateway_url;
  // Asked before a service is called ready: a request through the gateway that must be answered. Empty on one
  // machine: GET <url>/v1/models; empty on a cluster: nobody asks.
  std::function<Task<Result<void>>(std::string url)> answers;
  // On one machine nothing fills in the Gateway's status when the gateway program is not part of it; true: a
  // route without status counts as accepted.
  bool trusts_silent_gateway = true;
};

class Operator {
 public:
  Operator(async::EventLoop& loop, kube::Client& client, OperatorOptions options);
  ~Operator();
  Task<void> run();  // until cancelled

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::operators
