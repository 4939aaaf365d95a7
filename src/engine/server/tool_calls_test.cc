// What a client gets of a text with tool calls, however it was cut into pieces.

#include "engine/server/tool_calls.h"

#include <gtest/gtest.h>

namespace llmd::engine {
namespace {

constexpr std::string_view kTwoCalls =
    "I ask.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": \"<b\"}}\n</tool_call>\n"
    "<tool_call>{\"name\":\"b\"}</tool_call>";

struct Heard {
  std::string content;
  std::vector<ToolCall> calls;

  void add(const ToolReader::Delta& delta) {
    content += delta.content;
    for (const ToolCall& call : delta.calls) {
      if (call.name.empty()) {
        calls.back().arguments += call.arguments;
      } else {
        calls.push_back(call);
      }
    }
  }
};

Heard hear(const ToolForm& form, std::string_view text, std::size_t piece) {
  ToolReader reader(form);
  Heard heard;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    heard.add(reader.push(text.substr(at, piece), at + piece >= text.size()));
  }
  return heard;
}

TEST(ToolReader, FindsHermesCallsWhereverTheTextIsCut) {
  for (std::size_t piece = 1; piece <= kTwoCalls.size(); ++piece) {
    const Heard heard = hear({ToolForm::Mode::Hermes, ""}, kTwoCalls, piece);
    EXPECT_EQ(heard.content, "I ask.\n") << piece;
    ASSERT_EQ(heard.calls.size(), 2U) << piece;
    EXPECT_EQ(heard.calls[0].name, "a");
    EXPECT_EQ(heard.calls[0].arguments, R"({"x":"<b"})");
    EXPECT_EQ(heard.calls[1].name, "b");
    EXPECT_EQ(heard.calls[1].arguments, "{}");
  }
}

TEST(ToolReader, WhatIsNoCallIsContent) {
  for (const std::string_view text :
       {"a < b <tool", "<tool_call>not json</tool_call> more", "<tool_call>{\"name\":", "plain"}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size()}) {
      const Heard heard = hear({ToolForm::Mode::Hermes, ""}, text, piece);
      EXPECT_EQ(heard.content, text);
      EXPECT_TRUE(heard.calls.empty());
    }
  }
}

TEST(ToolReader, ReadsForcedCalls) {
  const Heard named = hear({ToolForm::Mode::Named, "f"}, R"({"x":1})", 2);
  ASSERT_EQ(named.calls.size(), 1U);
  EXPECT_EQ(named.calls[0].name, "f");
  EXPECT_EQ(named.calls[0].arguments, R"({"x":1})");
  const Heard all = hear({ToolForm::Mode::Required, ""},
                         R"([{"name":"f","parameters":{"x":1}},{"name":"g","parameters":{}}])", 5);
  ASSERT_EQ(all.calls.size(), 2U);
  EXPECT_EQ(all.calls[1].name, "g");
  EXPECT_EQ(hear({ToolForm::Mode::Required, ""}, R"([{"na)", 2).content, R"([{"na)") << "cut off";
}

}  // namespace
}  // namespace llmd::engine
