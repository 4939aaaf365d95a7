// openai-parser, anthropic-parser, vllmhttp-parser, sglanghttp-parser, vertexai-parser, vllmgrpc-parser,
// passthrough-parser: which APIs requests may speak. Requests are read by openai::RequestScan before they
// come here; the names are known so that documents load and references hold.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup);

}  // namespace llmd::picker
