// /v1/messages as chat requests: what the conversion must keep is what reaches the chat template.
#include "openai/chat_of_messages.h"

#include <gtest/gtest.h>

#include "json/path.h"

namespace llmd::openai {
namespace {

// The messages that these members of a request become.
std::string messages_of(std::string_view members) {
  const std::string body = R"({"model":"claude","max_tokens":5,)" + std::string(members) + "}";
  const auto chat = chat_of_messages(body, "served");
  if (!chat) {
    return chat.error().text();
  }
  const json::Value read = json::parse(*chat).value();
  EXPECT_EQ(json::string_at(read, "model"), "served");
  return json::write(*json::find(read, "messages"));
}

TEST(ChatOfMessagesTest, EveryBlockHasItsPlaceInAChat) {
  struct Row {
    std::string_view members;
    std::string_view messages;
  };
  for (
      const Row& row : {
          Row{R"("messages":[{"role":"user","content":"hi"}])", R"([{"role":"user","content":"hi"}])"},
          Row{R"("messages":[],"system":"be kind")", R"([{"role":"system","content":"be kind"}])"},
          Row{R"("system":[{"type":"text","text":"be kind. "},{"type":"text","text":"x-anthropic-billing-header: 7"},
                            {"type":"text","text":"be short","cache_control":{"type":"ephemeral"}}],"messages":[])",
              R"([{"role":"system","content":"be kind. be short"}])"},
          Row{R"("system":[{"type":"text","text":"x-anthropic-billing-header: 7"}],"messages":[])", "[]"},
          Row{R"("messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{}}]}])",
              R"([{"role":"user","content":"hi"}])"},
          Row{R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])",
              R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"},
          Row{R"("messages":[{"role":"user","content":[{"type":"text","text":""}]}])", "[]"},
          Row{R"("messages":[{"role":"user","content":[
                 {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},
                 {"type":"image","source":{"type":"base64","data":"BB=="}},
                 {"type":"image","source":{"type":"url","url":"http://a/b.png"}},
                 {"type":"image","source":{"type":"base64"}}]}])",
              R"([{"role":"user","content":[)"
              R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},)"
              R"({"type":"image_url","image_url":{"url":"data:image/jpeg;base64,BB=="}},)"
              R"({"type":"image_url","image_url":{"url":"http://a/b.png"}}]}])"},
          Row{R"("messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
                 {"type":"redacted_thinking","data":"?"},{"type":"text","text":"I look."},
                 {"type":"tool_use","id":"t1","name":"look","input":{"at":"ä","n":1.0}}]}])",
              R"([{"role":"assistant","reasoning":"hm","tool_calls":[{"id":"t1","type":"function",)"
              R"("function":{"name":"look","arguments":"{\"at\": \"\\u00e4\", \"n\": 1.0}"}}],)"
              R"("content":"I look."}])"},
          Row{R"("messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"?"}]}])",
              "[]"},
          Row{R"("messages":[{"role":"user","content":[{"type":"text","text":"and now?"},
                 {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"one"},
                   {"type":"image","source":{"type":"url","url":"http://a"}},{"type":"text","text":"two"}]},
                 {"type":"tool_result","tool_use_id":"t2","content":"done"},
                 {"type":"tool_result","tool_use_id":"t3"}]}])",
              R"([{"role":"tool","tool_call_id":"t1","content":"one\ntwo"},)"
              R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"http://a"}}]},)"
              R"({"role":"tool","tool_call_id":"t2","content":"done"},)"
              R"({"role":"tool","tool_call_id":"t3","content":""},)"
              R"({"role":"user","content":"and now?"}])"},
          Row{R"("messages":[{"role":"assistant","content":[{"type":"tool_result","content":"x"}]}])",
              R"([{"role":"assistant","content":"Tool result: x"}])"},
          Row{R"("messages":[7,{"role":"user","content":[7,{"type":"new_kind"},{"type":"tool_use","input":5}]}])",
              R"([{"role":"","content":""},{"role":"user","tool_calls":[{"id":"","type":"function",)"
              R"("function":{"name":"","arguments":"{}"}}]}])"},
      }) {
    EXPECT_EQ(messages_of(row.members), row.messages) << row.members;
  }
}

TEST(ChatOfMessagesTest, ToolsAreFunctions) {
  const auto chat = [](std::string_view members) {
    const auto made = chat_of_messages(R"({"messages":[],)" + std::string(members) + "}", "m");
    return made ? *made : made.error().text();
  };
  EXPECT_EQ(chat(R"("tools":[{"name":"look","description":"Looks.","input_schema":{"properties":{"at":{}}},
                             "cache_control":{"type":"ephemeral"}},{"name":"wait"}])"),
            R"({"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"look",)"
            R"("description":"Looks.","parameters":{"properties":{"at":{}},"type":"object"}}},)"
            R"({"type":"function","function":{"name":"wait","parameters":{"type":"object"}}}],)"
            R"("tool_choice":"auto"})");
  struct Row {
    std::string_view choice;
    std::string_view converted;
  };
  for (const Row& row :
       {Row{R"({"type":"any"})", R"("required")"}, Row{R"({"type":"none"})", R"("none")"},
        Row{R"({"type":"auto"})", R"("auto")"},
        Row{R"({"type":"tool","name":"look"})", R"({"type":"function","function":{"name":"look"}})"}}) {
    const std::string text = chat(R"("tools":[{"name":"look"}],"tool_choice":)" + std::string(row.choice));
    EXPECT_TRUE(text.ends_with("\"tool_choice\":" + std::string(row.converted) + "}")) << text;
  }
  EXPECT_EQ(chat(R"("tools":[],"chat_template_kwargs":{"enable_thinking":false})"),
            R"({"model":"m","messages":[],"chat_template_kwargs":{"enable_thinking":false}})");
}

TEST(ChatOfMessagesTest, WhatIsNoRequestIsAnError) {
  for (const std::string_view body : {"", "[]", "{}", R"({"messages":"x"})", R"({"messages":[})"}) {
    EXPECT_FALSE(chat_of_messages(body, "m")) << body;
  }
}

TEST(JsonOfPythonTest, WritesAsJsonDumpsDoes) {
  struct Row {
    std::string_view read;
    std::string_view written;
  };
  for (const Row& row : {
           Row{R"({"b":1,"a":[1,2.5,true,null],"c":{}})", R"({"b": 1, "a": [1, 2.5, true, null], "c": {}})"},
           Row{"[]", "[]"},
           Row{"[1.0, 1e5, 1e16, 1e-5, 0.1, -0.0]", "[1.0, 100000.0, 1e+16, 1e-05, 0.1, -0.0]"},
           Row{"[18446744073709551615, -9223372036854775808]",
               "[18446744073709551615, -9223372036854775808]"},
           Row{R"("a\"\\\/\n\t\r\b\f\u0001é€😀")", R"("a\"\\/\n\t\r\b\f\u0001\u00e9\u20ac\ud83d\ude00")"},
           Row{R"("\u007f")", "\"\x7f\""},
       }) {
    const auto value = json::parse(row.read);
    ASSERT_TRUE(value) << row.read;
    EXPECT_EQ(json_of_python(*value), row.written) << row.read;
  }
}

}  // namespace
}  // namespace llmd::openai
