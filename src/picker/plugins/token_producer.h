// token-producer (tokenizer): where the token ids of a prompt come from. Estimates need nothing; the other
// backends are asked by whoever makes the request (Request::tokens).
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_token_producer(PluginSetup& setup);

}  // namespace llmd::picker
