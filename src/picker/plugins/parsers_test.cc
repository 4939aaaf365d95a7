// Whose a path is, and which engines a parser's requests are for.
#include "picker/plugins/parsers.h"

#include <gtest/gtest.h>

#include "picker/plan.h"

namespace llmd::picker {
namespace {

// The parser that a configuration with these parsers has for the path; empty: none.
std::string reader_of(std::string_view parsers, std::string_view path) {
  std::string references;
  if (!parsers.empty()) {
    references = fmt::format("requestHandler: {{parsers: {}}}\n", parsers);
  }
  const std::string text = "plugins: [{name: second, type: openai-parser}]\n" + references;
  const auto plan = build_plan(parse_configuration(text, "x.yaml").value(), {}).value();
  const Parser* parser = parser_for(plan->parsers, path);
  return parser != nullptr ? parser->name : "";
}

TEST(Parsers, TheLongestClaimWinsAndWhatNobodyClaimsIsPassedThrough) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"/v1/chat/completions", "openai-parser"},
      {"/v1/chat/completions/", "openai-parser"},
      {"/v1/chat/completions/render", "openai-parser"},
      {"/v1/completions/render", "openai-parser"},
      {"/team/v1/completions", "openai-parser"},
      {"/v1/embeddings", "openai-parser"},
      {"/v1/responses", "openai-parser"},
      {"/v1/conversations", "openai-parser"},
      {"/v1/images/generations", "openai-parser"},
      {"/v1/messages", "anthropic-parser"},
      {"/v1/messages/count_tokens", "anthropic-parser"},
      {"/inference/v1/generate", "vllmhttp-parser"},
      {"/generate", "passthrough-parser"},
      {"/v1/rerank", "passthrough-parser"},
      {"/", "passthrough-parser"},
      {"", "passthrough-parser"},
  };
  for (const auto& [path, parser] : rows) {
    EXPECT_EQ(reader_of("", path), parser) << path;
  }
}

TEST(Parsers, AListHasNoOthers) {
  struct Row {
    std::string_view parsers;
    std::string_view path;
    std::string_view reader;
  };
  const Row rows[] = {
      {"[{pluginRef: openai-parser}]", "/v1/messages", ""},
      {"[{pluginRef: openai-parser}]", "/v1/completions", "openai-parser"},
      {"[{pluginRef: second}, {pluginRef: openai-parser}]", "/v1/completions", "second"},
      {"[{pluginRef: openai-parser}, {pluginRef: second}]", "/v1/completions", "openai-parser"},
      {"[{pluginRef: passthrough-parser}, {pluginRef: openai-parser}]", "/v1/completions", "openai-parser"},
      {"[{pluginRef: passthrough-parser}, {pluginRef: openai-parser}]", "/v1/messages", "passthrough-parser"},
      {"[{pluginRef: sglanghttp-parser}]", "/generate", "sglanghttp-parser"},
      {"[{pluginRef: sglanghttp-parser}]", "/v1/generate", ""},
      {"[{pluginRef: sglanghttp-parser}, {pluginRef: vllmhttp-parser}]", "/inference/v1/generate",
       "vllmhttp-parser"},
      {"[{pluginRef: vllmgrpc-parser}]", "/vllm.grpc.engine.VllmEngine/Generate", "vllmgrpc-parser"},
      {"[{pluginRef: vllmgrpc-parser}]", "/vllm.grpc.engine.VllmEngine/Abort", "vllmgrpc-parser"},
      {"[{pluginRef: vertexai-parser}]", "/google.cloud.aiplatform.v1.PredictionService/RawPredict",
       "vertexai-parser"},
      {"[{pluginRef: vertexai-parser}]", "/google.cloud.aiplatform.v1.PredictionService/StreamRawPredict",
       "vertexai-parser"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(reader_of(row.parsers, row.path), row.reader) << row.parsers << " " << row.path;
  }
}

TEST(Parsers, ProtocolsAreThoseOfTheirEngines) {
  struct Row {
    std::string_view parser;
    bool http;
    bool h2c;
    bool other;
  };
  for (const Row& row :
       {Row{"openai-parser", true, true, false}, Row{"anthropic-parser", true, true, false},
        Row{"vllmhttp-parser", true, true, false}, Row{"sglanghttp-parser", true, true, false},
        Row{"vllmgrpc-parser", false, true, false}, Row{"vertexai-parser", false, true, false},
        Row{"passthrough-parser", true, true, true}}) {
    const std::string text =
        fmt::format("plugins: []\nrequestHandler: {{parsers: [{{pluginRef: {}}}]}}\n", row.parser);
    const auto plan = build_plan(parse_configuration(text, "x.yaml").value(), {}).value();
    const Parser& parser = *plan->parsers.at(0);
    EXPECT_EQ(parser.speaks(""), row.http) << row.parser;
    EXPECT_EQ(parser.speaks("http"), row.http) << row.parser;
    EXPECT_EQ(parser.speaks("kubernetes.io/h2c"), row.h2c) << row.parser;
    EXPECT_EQ(parser.speaks("kubernetes.io/wss"), row.other) << row.parser;
  }
}

}  // namespace
}  // namespace llmd::picker
