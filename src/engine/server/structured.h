// Structured output of a request: response_format, structured_outputs and the older guided_* fields.
#pragma once

#include <memory>

#include "engine/grammar/token_constraint.h"
#include "engine/server/requests.h"
#include "engine/server/served_model.h"

namespace llmd::engine {

// Null when the request has none, or where answers are simulated (it is still checked). 400 for more than one
// constraint and for one that is wrong or cannot be kept exactly; 501 for free grammars and structural tags.
Api<std::shared_ptr<TokenConstraint>> constraint_of(const CommonRequest& request, const ServedModel& model);

// By a schema that is not one of those fields; `param` names it in errors.
Api<std::shared_ptr<TokenConstraint>> constraint_by_schema(const json::Value& schema, std::string_view param,
                                                           const ServedModel& model);

}  // namespace llmd::engine
