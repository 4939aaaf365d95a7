#include "picker/plugins/parsers.h"

#include <algorithm>

namespace llmd::picker {
namespace {

constexpr std::string_view kOpenAi[] = {
    "/completions",   "/embeddings",         "/responses",
    "/conversations", "/completions/render", "/images/generations",
};
constexpr std::string_view kAnthropic[] = {"/messages", "/messages/count_tokens"};
constexpr std::string_view kVllmHttp[] = {"/inference/v1/generate"};
constexpr std::string_view kSglang[] = {"/generate"};
constexpr std::string_view kVertexAi[] = {"PredictionService/ChatCompletions",
                                          "PredictionService/StreamRawPredict",
                                          "PredictionService/RawPredict"};
constexpr std::string_view kVllmGrpc[] = {"VllmEngine/Generate", "VllmEngine/Embed"};

constexpr std::string_view kPassthrough = "passthrough-parser";
constexpr Dialect kDialects[] = {
    {.type = "openai-parser", .paths = kOpenAi},
    {.type = "anthropic-parser", .paths = kAnthropic},
    {.type = "vllmhttp-parser", .paths = kVllmHttp},
    {.type = "sglanghttp-parser", .paths = kSglang, .whole_path = true, .model = false},
    {.type = "vertexai-parser",
     .paths = kVertexAi,
     .service = "PredictionService/",
     .json = false,
     .model = false,
     .http1 = false},
    {.type = "vllmgrpc-parser",
     .paths = kVllmGrpc,
     .service = "VllmEngine/",
     .json = false,
     .model = false,
     .http1 = false},
    {.type = kPassthrough, .paths = {}, .json = false, .model = false},
};

constexpr std::size_t kWeakest = 1;  // claim: any other one counts more

const Dialect& dialect_of(std::string_view type) {
  return *std::ranges::find(kDialects, type, &Dialect::type);
}

}  // namespace

std::size_t Parser::claim(std::string_view path) const {
  std::size_t longest = 0;
  for (const std::string_view end : dialect.paths) {
    if (dialect.whole_path ? path == end : path.ends_with(end)) {
      longest = std::max(longest, end.size());
    }
  }
  const bool of_service = !dialect.service.empty() && path.contains(dialect.service);
  return longest == 0 && of_service ? kWeakest : longest;
}

bool Parser::reads(std::string_view path) const {
  return claim(path) > kWeakest;
}

bool Parser::speaks(std::string_view app_protocol) const {
  const bool http1 = app_protocol.empty() || app_protocol == "http";
  return takes_the_rest() || app_protocol == "kubernetes.io/h2c" || (http1 && dialect.http1);
}

const Parser* parser_for(std::span<const Parser* const> parsers, std::string_view path) {
  if (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  const Parser* chosen = nullptr;
  std::size_t longest = 0;
  for (const Parser* parser : parsers) {
    const std::size_t claim = parser->claim(path);
    if (claim > longest || (chosen == nullptr && parser->takes_the_rest())) {
      chosen = parser;
      longest = claim;
    }
  }
  return chosen;
}

std::vector<std::unique_ptr<Parser>> usual_parsers() {
  std::vector<std::unique_ptr<Parser>> made;
  for (const std::string_view type : {std::string_view("openai-parser"), std::string_view("anthropic-parser"),
                                      std::string_view("vllmhttp-parser"), kPassthrough}) {
    made.push_back(std::make_unique<Parser>(dialect_of(type)));
    made.back()->name = type;
    made.back()->type = type;
  }
  return made;
}

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Parser>(dialect_of(setup.plugin_type));
}

}  // namespace llmd::picker
