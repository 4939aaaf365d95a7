#include "picker/plugins/token_producer.h"

namespace llmd::picker {
namespace {

// "http://HOST:PORT", as llm-d's example has it.
Result<net::Address> server_of(std::string_view url) {
  constexpr std::string_view kHttp = "http://";
  if (!url.starts_with(kHttp)) {
    return invalid_argument("expected http://HOST:PORT, got '{}'", url);
  }
  url.remove_prefix(kHttp.size());
  if (url.ends_with('/')) {
    url.remove_suffix(1);
  }
  LLMD_TRY(net::Address address, net::parse_address(url));
  address.port = address.port == 0 ? 80 : address.port;
  return address;
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_token_producer(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  TokenProducer::Options options;
  parameters.read("modelName", options.model);
  const bool uses_socket = parameters.has("udsTokenizerConfig");
  const bool uses_vllm = parameters.has("vllm") || (!options.model.empty() && !uses_socket);
  if (parameters.has("vllm") && uses_socket) {
    parameters.reject("udsTokenizerConfig", "only one backend can be used; vllm is given, too");
  }
  if ((uses_vllm || uses_socket) && options.model.empty()) {
    parameters.reject("modelName", "is required");
  }
  Parameters& vllm = parameters.object("vllm");
  std::string url = "http://localhost:8000";
  vllm.read("url", url, "http");
  vllm.read("timeout", options.timeout);
  vllm.read("mmTimeout", options.media_timeout);
  if (uses_vllm) {
    const auto server = server_of(url);
    if (server) {
      options.server = *server;
    } else {
      vllm.reject("url", server.error().message);
    }
  }
  parameters.object("udsTokenizerConfig").accept({"socketFile", "useTCP"});
  parameters.object("estimate").accept_all();
  setup.provide("tokens");
  return std::make_unique<TokenProducer>(std::move(options));
}

}  // namespace llmd::picker
