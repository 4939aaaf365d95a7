// An engine is asked for tokens, as llm-d's own tests state the rules of its tokenizer.
#include "extproc/renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "http/server.h"

namespace llmd::extproc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// An engine that gives one answer, and what it was asked.
struct Engine {
  Engine() : server(loop, {}, [this](http::Exchange& exchange) { return answer_one(exchange); }) {
    options.server = server.listen({"127.0.0.1", 0}).value();
    options.model = "served";
    options.timeout = options.media_timeout = std::chrono::seconds(20);
  }
  Task<void> answer_one(http::Exchange& exchange) {
    target = exchange.request().target;
    traceparent = exchange.request().headers.find("traceparent").value_or("");
    body = (co_await http::read_all(exchange.body(), 1 << 20)).value();
    if (silent) {
      co_await async::sleep(std::chrono::minutes(5));
    }
    co_await exchange.respond(status, "application/json", answer);
  }
  Result<Renderer::Rendered> ask(std::string_view path, std::string_view request, bool media = false,
                                 std::string_view context = {}) {
    Result<Renderer::Rendered> result = unavailable("not asked");
    loop.block_on([&]() -> Task<void> {
      Renderer renderer(loop, options);
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("engine", server.run());
        result = co_await renderer.render(path, request, media, context);
      });
    }());
    return result;
  }

  async::EventLoop loop;
  http::Server server;
  picker::TokenProducer::Options options;
  int status = 200;
  bool silent = false;
  std::string answer = R"({"token_ids":[1,2,3]})";
  std::string target;
  std::string traceparent;
  std::string body;
};

TEST(RendererTest, PathsHaveTheirRenderEndpointsAndOnlyTheModelChanges) {
  struct Row {
    std::string_view path;
    std::string_view target;
    std::string_view request;
    std::string_view body;
  };
  for (const Row& row : {
           Row{"/v1/completions", "/v1/completions/render", R"({"prompt":["a","b"],"model":"m"})",
               R"({"prompt":["a","b"],"model":"served"})"},
           Row{"/v1/chat/completions", "/v1/chat/completions/render",
               R"({"model" : "m", "tools":[{"x":1}],"messages":[{"role":"user","content":"\u00e9"}]})",
               R"({"model" : "served", "tools":[{"x":1}],"messages":[{"role":"user","content":"\u00e9"}]})"},
       }) {
    Engine engine;
    const auto rendered = engine.ask(row.path, row.request);
    ASSERT_TRUE(rendered) << rendered.error().text();
    EXPECT_THAT(rendered->tokens, ElementsAre(1, 2, 3));
    EXPECT_EQ(engine.target, row.target);
    EXPECT_EQ(engine.body, row.body);
    EXPECT_EQ(engine.traceparent, "");
  }
  EXPECT_TRUE(Renderer::renders("/prefix/v1/completions"));
  EXPECT_FALSE(Renderer::renders("/v1/embeddings"));
  EXPECT_TRUE(Renderer::renders("/v1/messages"));
  EXPECT_FALSE(Renderer::renders("/v1/messages/count_tokens"));
}

TEST(RendererTest, TheTraceGoesAlong) {
  Engine engine;
  constexpr std::string_view kContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_TRUE(engine.ask("/v1/completions", R"({"model":"m","prompt":"x"})", false, kContext));
  EXPECT_EQ(engine.traceparent, kContext);
}

TEST(RendererTest, ARefusalSaysWhyInShort) {
  Engine engine;
  engine.status = 400;
  engine.answer = std::string(5000, 'x');
  const auto rendered = engine.ask("/v1/completions", R"({"model":"m","prompt":"x"})");
  ASSERT_FALSE(rendered);
  EXPECT_THAT(rendered.error().text(), HasSubstr("status 400: xxx"));
  EXPECT_LT(rendered.error().text().size(), 1200U);
}

TEST(RendererTest, TextAndMediaHaveTimeLimitsOfTheirOwn) {
  for (const bool media : {false, true}) {
    Engine engine;
    engine.silent = true;
    (media ? engine.options.media_timeout : engine.options.timeout) = std::chrono::milliseconds(50);
    (media ? engine.options.timeout : engine.options.media_timeout) = std::chrono::hours(1);
    EXPECT_FALSE(engine.ask("/v1/completions", R"({"model":"m","prompt":"x"})", media));
  }
}

TEST(RendererTest, ARequestWithoutAModelIsNotSent) {
  Engine engine;
  EXPECT_FALSE(engine.ask("/v1/completions", R"({"prompt":"x"})"));
  EXPECT_EQ(engine.target, "");
}

TEST(RendererTest, ReadsTokensAndWhereMediaStand) {
  const auto text = Renderer::read(R"([{"token_ids":[1,2]},{"token_ids":[3]}])");
  ASSERT_TRUE(text);
  EXPECT_THAT(text->tokens, ElementsAre(1, 2, 3));
  const auto chat = Renderer::read(R"({"token_ids":[1,2,3,4,5],"features":{
      "mm_hashes":{"image":["cat","dog"],"audio":["meow"]},
      "mm_placeholders":{"image":[{"offset":1,"length":2},{"offset":3,"length":1}],
                         "audio":[{"offset":4,"length":1}]},
      "kwargs_data":{"image":["AAAA",null]}}})");
  ASSERT_TRUE(chat);
  std::vector<std::string> placed;
  for (const kvcache::PlacedItem& item : chat->placed()) {
    placed.push_back(fmt::format("{} {}+{}", item.id, item.offset, item.length));
  }
  EXPECT_THAT(placed, ElementsAre("cat 1+2", "dog 3+1", "meow 4+1"));
}

TEST(RendererTest, WhatMakesNoSenseIsAnErrorOrLeftOut) {
  for (const std::string_view wrong :
       {"", "{}", "[1]", R"({"token_ids":"x"})", R"({"token_ids":[-1]})", R"({"token_ids":[4294967296]})",
        R"({"token_ids":[1.5]})", R"([{"token_ids":[1]},{}])"}) {
    EXPECT_FALSE(Renderer::read(wrong)) << wrong;
  }
  for (
      const std::string_view odd :
      {R"({"token_ids":[],"features":null})", R"({"token_ids":[],"features":{"mm_hashes":{"image":["a"]}}})",
       R"({"token_ids":[],"features":{"mm_hashes":{"image":[7]},"mm_placeholders":{"image":[{"offset":0,"length":1}]}}})",
       R"({"token_ids":[],"features":{"mm_hashes":{"image":["a"]},"mm_placeholders":{"image":[{"offset":-1,"length":1}]}}})",
       R"({"token_ids":[],"features":{"mm_hashes":[],"mm_placeholders":{}}})"}) {
    const auto read = Renderer::read(odd);
    ASSERT_TRUE(read) << odd;
    EXPECT_TRUE(read->media.empty()) << odd;
  }
}

}  // namespace
}  // namespace llmd::extproc
