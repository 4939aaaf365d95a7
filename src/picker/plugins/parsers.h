// openai-parser, anthropic-parser, vllmhttp-parser, sglanghttp-parser, vertexai-parser, vllmgrpc-parser,
// passthrough-parser: which APIs requests may speak, and what a request of each must have. Bodies are read by
// openai::RequestScan, whatever the API.
#pragma once

#include <memory>
#include <span>

#include "picker/registry.h"

namespace llmd::picker {

// What is known of the API of a parser.
struct Dialect {
  std::string_view type;
  std::span<const std::string_view> paths;  // it claims what ends so; none: it takes what nobody claims
  std::string_view service = {};            // other methods of this gRPC service pass unread
  bool whole_path = false;                  // it claims these paths themselves
  bool json = true;                         // a body is one JSON object
  bool model = true;                        // that names a model
  bool http1 = true;                        // its engines may speak HTTP/1.1; all may speak h2c
};

class Parser : virtual public Plugin {
 public:
  explicit Parser(const Dialect& known) : dialect(known) {}
  // Bytes of the path (without query and last slash) that it claims; 0: it does not.
  std::size_t claim(std::string_view path) const;
  // Whether bodies of this path, which it claims, are looked at.
  bool reads(std::string_view path) const;
  bool takes_the_rest() const { return dialect.paths.empty(); }
  // Of InferencePools, such as "http" and "kubernetes.io/h2c"; empty means http.
  bool speaks(std::string_view app_protocol) const;

  const Dialect& dialect;
};

// The parser with the longest claim, then the first one; without a claim the first that takes the rest. Null:
// the path is nobody's.
const Parser* parser_for(std::span<const Parser* const> parsers, std::string_view path);

// Those that read requests where a configuration lists none, made anew.
std::vector<std::unique_ptr<Parser>> usual_parsers();

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup);

}  // namespace llmd::picker
