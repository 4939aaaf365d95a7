// openai-parser, anthropic-parser, vllmhttp-parser, sglanghttp-parser, vertexai-parser, vllmgrpc-parser,
// passthrough-parser: which APIs requests may speak. Requests are read by openai::RequestScan before they
// come here; the names are known so that documents load and references hold.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

// What reads requests where a configuration lists no parsers.
inline constexpr std::string_view kUsualParsers[] = {"openai-parser", "anthropic-parser", "vllmhttp-parser",
                                                     "passthrough-parser"};
// Whether requests for this path (without query) are for parsers of this type. Nothing is for
// passthrough-parser, which takes the rest.
bool parser_claims(std::string_view type, std::string_view path);

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup);

}  // namespace llmd::picker
