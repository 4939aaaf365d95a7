// The built-in presets as objects of a cluster, where people can read them and services of other tools can
// refer to them. The operator itself does without: it knows them.
#pragma once

#include "kube/client.h"
#include "llmisvc/facts.h"

namespace llmd::operators {

// Makes those that are missing and updates those of an earlier llmd. Presets that somebody else installed
// (KServe, a person) stay as they are. The first error is returned; the others are tried all the same.
Task<Result<void>> install_presets(kube::Client& client, llmisvc::Facts facts);

}  // namespace llmd::operators
