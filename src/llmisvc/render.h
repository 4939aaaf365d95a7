// Kubernetes objects of a service. Pure: the same service and facts give the same objects in the same order,
// byte for byte, on one machine and on a cluster. Certificates and everything else with an effect belong to
// the operator.
#pragma once

#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// A stopped service has no objects.
Result<std::vector<json::Object>> render(const Service& service, const Facts& facts);

}  // namespace llmd::llmisvc
