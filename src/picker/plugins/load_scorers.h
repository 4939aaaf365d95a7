// load-aware-scorer: an endpoint with nothing waiting scores 0.5; the score falls linearly and reaches 0 when
// `threshold` requests wait. The upper half stays free on purpose: an empty queue says that the endpoint is
// not overloaded, not that it is a good match. token-load-scorer: 1 - min(L, T) / T with L the prompt tokens
// in flight and those this request adds.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_load_aware_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_token_load_scorer(PluginSetup& setup);

}  // namespace llmd::picker
