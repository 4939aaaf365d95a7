// Defaults of a merged service that depend on the whole of it.
#pragma once

#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

// Before templates are expanded: model.name, which they refer to.
void set_name_defaults(json::Object& object);

// After that, in this order:
//  1. pool.spec: selector of the workload's pods, picker's Service and port.
//  2. scheduler.template: service account.
//  3. Route: parents from gateway.refs; backends that name the pool become the workload's Service without a
//  scheduler,
//     or the referenced pool; rules without backends get one, and a rewrite of their prefix.
//  4. scheduler.config.ref becomes the text it refers to.
//  5. Accelerators (accelerators.h).
void set_defaults(json::Object& object, const Facts& facts, Findings& findings);

}  // namespace llmd::llmisvc
