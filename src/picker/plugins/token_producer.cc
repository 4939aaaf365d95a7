#include "picker/plugins/token_producer.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_token_producer(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  std::string model;
  parameters.read("modelName", model);
  const bool uses_vllm = parameters.has("vllm");
  const bool uses_socket = parameters.has("udsTokenizerConfig");
  if (uses_vllm && uses_socket) {
    parameters.reject("udsTokenizerConfig", "only one backend can be used; vllm is given, too");
  }
  if ((uses_vllm || uses_socket) && model.empty()) {
    parameters.reject("modelName", "is required");
  }
  Parameters& vllm = parameters.object("vllm");
  std::string url;
  Duration timeout{};
  vllm.read("url", url, "http");
  vllm.read("timeout", timeout);
  vllm.read("mmTimeout", timeout);
  parameters.object("udsTokenizerConfig").accept({"socketFile", "useTCP"});
  parameters.object("estimate").accept_all();
  setup.provide("tokens");
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
