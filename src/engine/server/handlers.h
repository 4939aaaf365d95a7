// Everything that is not a generation.
#pragma once

#include "engine/server/call.h"

namespace llmd::engine {

// The engine's health; Unavailable while the model is being loaded.
Result<void> health_of(const Context& context);

Task<void> handle_health(Call& call);
Task<void> handle_version(Call& call);
Task<void> handle_load(Call& call);
Task<void> handle_metrics(Call& call);
Task<void> handle_models(Call& call);
Task<void> handle_tokenize(Call& call);
Task<void> handle_detokenize(Call& call);
Task<void> handle_completions_render(Call& call);
Task<void> handle_chat_render(Call& call);
Task<void> handle_reset_prefix_cache(Call& call);
Task<void> handle_load_adapter(Call& call);
Task<void> handle_unload_adapter(Call& call);

}  // namespace llmd::engine
