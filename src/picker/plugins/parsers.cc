#include "picker/plugins/parsers.h"

#include <algorithm>

namespace llmd::picker {

bool parser_claims(std::string_view type, std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kClaims[] = {
      {"openai-parser", "/completions"},
      {"openai-parser", "/embeddings"},
      {"openai-parser", "/responses"},
      {"openai-parser", "/conversations"},
      {"openai-parser", "/completions/render"},
      {"openai-parser", "/images/generations"},
      {"anthropic-parser", "/messages"},
      {"anthropic-parser", "/messages/count_tokens"},
      {"vllmhttp-parser", "/inference/v1/generate"},
  };
  if (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  if (type == "sglanghttp-parser") {
    return path == "/generate";
  }
  return std::ranges::any_of(
      kClaims, [&](const auto& claim) { return claim.first == type && path.ends_with(claim.second); });
}

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
