// mm-embeddings-cache-producer: which endpoints have encoded a request's images, videos and sounds before,
// guessed from where they were sent; the least recently used leave first ({cacheSizeInMBPerServer}, two
// megabytes each).
// mm-embeddings-cache-scorer: the share of these items that an endpoint has, by the tokens they become.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_mm_embeddings_producer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_mm_embeddings_scorer(PluginSetup& setup);

}  // namespace llmd::picker
