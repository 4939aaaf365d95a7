// token-producer: who turns a request's text into tokens. Without parameters four bytes count as one
// (Request::prompt_tokens); with `vllm` an engine is asked at its render endpoints, before the decision, by
// whoever has the request's body (extproc/renderer.h). The older sidecar behind a socket is accepted and
// estimates.
#pragma once

#include "net/address.h"
#include "openai/media_items.h"
#include "picker/registry.h"

namespace llmd::picker {

class TokenProducer final : virtual public Plugin {
 public:
  struct Options {
    net::Address server;  // port 0: tokens are estimated
    std::string model;    // that the engine is asked to tokenise for
    Duration timeout = std::chrono::seconds(5);
    Duration media_timeout = std::chrono::seconds(30);  // for contents that are lists
    openai::MediaEstimate media;                        // where tokens are estimated
  };
  explicit TokenProducer(Options options_) : options(std::move(options_)) {}
  bool renders() const { return options.server.port != 0; }
  const Options options;
};

Result<std::unique_ptr<Plugin>> make_token_producer(PluginSetup& setup);

}  // namespace llmd::picker
