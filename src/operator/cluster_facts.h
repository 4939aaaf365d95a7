// Facts that are read when a service needs them and are not watched. What is not there, or may not be read,
// is left out: compiling the service says so where it matters. When the API server cannot be asked nothing is
// known, and a service that was compiled all the same would get other pods: that is an error.
#pragma once

#include "kube/client.h"
#include "llmisvc/facts.h"

namespace llmd::operators {

// KServe's settings, which clusters that had it keep: the ConfigMap inferenceservice-config.
Task<Result<void>> add_settings(kube::Client& client, llmisvc::Facts& facts);

// The scheduler's configuration may stand in a ConfigMap.
Task<Result<void>> add_config_map(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts);

// What pods download and pull with: the accounts that the templates name, `default`, and the Secrets they
// list.
Task<Result<void>> add_accounts(kube::Client& client, const kube::Object& service, llmisvc::Facts& facts);

}  // namespace llmd::operators
