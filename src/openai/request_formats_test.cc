// The shapes in which requests come, and what an engine would have of them in its cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openai/media_items.h"
#include "openai/testing_scan.h"

namespace llmd::openai {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

// Units that both begin with.
std::size_t common(std::string_view one, std::string_view other) {
  const auto a = scanned(one);
  const auto b = scanned(other);
  const auto first = std::ranges::mismatch(a.prompt_units(), b.prompt_units());
  return static_cast<std::size_t>(first.in1 - a.prompt_units().begin());
}

const std::string kLong(64 * 10, 'x');

TEST(RequestOrderTest, PartsCountInTheOrderInWhichEnginesCacheThem) {
  const std::string tools = R"("tools":[{"name":")" + kLong + R"("}])";
  const std::string system = R"("system":[{"type":"text","text":")" + kLong + R"("}])";
  const std::string instructions = R"("instructions":")" + kLong + "\"";
  struct Row {
    std::string one;
    std::string other;
    std::size_t least;  // units that are known to be the same
    std::size_t most;
  };
  const auto body = [](std::initializer_list<std::string> members) {
    std::string text = "{";
    for (const std::string& member : members) {
      text += (text == "{" ? "" : ",") + member;
    }
    return text + "}";
  };
  const std::string ask = R"("messages":[{"role":"user","content":"one question"}])";
  const std::string ask_else = R"("messages":[{"role":"user","content":"two questions"}])";
  const std::string input = R"("input":")" + kLong + "\"";
  for (const Row& row : {
           // Another conversation about the same system text, which stands behind the messages.
           Row{body({ask, system}), body({ask_else, system}), 10, 11},
           Row{body({ask, system, tools}), body({ask_else, system, tools}), 21, 22},
           Row{body({system, ask, tools}), body({tools, ask, system}), 23, 23},
           // The same messages below another system text have nothing in common.
           Row{body({ask, system}), body({ask, R"("system":"else")"}), 0, 0},
           Row{body({ask, tools}), body({ask, R"("tools":[{"name":"y"}])"}), 0, 0},
           Row{body({input, instructions}), body({R"("input":"y")", instructions}), 11, 11},
           Row{body({input, R"("instructions":"a")"}), body({input, R"("instructions":"b")"}), 0, 0},
           // What was said before comes before what is said now.
           Row{body({input, R"("previous_response_id":"a")"}), body({input, R"("previous_response_id":"b")"}),
               0, 0},
           Row{body({input, instructions, R"("previous_response_id":"a")"}),
               body({input, instructions, R"("previous_response_id":"b")"}), 11, 11},
           Row{body({input, R"("conversation":{"id":"a"})"}), body({input, R"("conversation":{"id":"a"})"}),
               12, 12},
           // A ranker reads the question before each document.
           Row{body({R"("documents":["a"])", R"("query":")" + kLong + "\""}),
               body({R"("documents":["b"])", R"("query":")" + kLong + "\""}), 11, 11},
           Row{body({R"("text_2":["a"])", R"("text_1":")" + kLong + "\""}),
               body({R"("text_2":["b"])", R"("text_1":")" + kLong + "\""}), 11, 11},
           // Members that are null are not there.
           Row{body({ask, R"("tools":null)", R"("system":null)"}), body({ask}), 1, 1},
       }) {
    EXPECT_GE(common(row.one, row.other), row.least) << row.one;
    EXPECT_LE(common(row.one, row.other), row.most) << row.one;
    for (const std::size_t step : {1, 5, 64}) {
      EXPECT_THAT(scanned(row.one, step).prompt_units(), ElementsAreArray(scanned(row.one).prompt_units()));
    }
  }
}

TEST(RequestOrderTest, TheSignatureOfClaudeCodeIsNoPrompt) {
  const auto signed_by = [](std::string_view signature) {
    return R"({"messages":[{"role":"user","content":")" + kLong + R"("}],"system":[{"type":"text","text":")" +
           std::string(signature) + R"("},{"type":"text","text":"You are a helper."}]})";
  };
  const std::string one = signed_by("x-anthropic-billing-header: cc_version=1; cch=abc;");
  const std::string other = signed_by("x-anthropic-billing-header: cc_version=1; cch=0123456789;");
  const auto whole = scanned(one);
  EXPECT_THAT(whole.prompt_units(), ElementsAreArray(scanned(other).prompt_units()));
  EXPECT_THAT(whole.prompt_units(), ElementsAreArray(scanned(signed_by("")).prompt_units()));
  for (const std::string& text : {one, signed_by("x-anthropic-billing"), signed_by("x-anthropic else"),
                                  signed_by("y-anthropic-billing-header: 1")}) {
    for (const std::size_t step : {1, 2, 7, 30}) {
      EXPECT_THAT(scanned(text, step).prompt_units(), ElementsAreArray(scanned(text).prompt_units())) << text;
      EXPECT_EQ(scanned(text, step).prompt_bytes(), scanned(text).prompt_bytes());
    }
  }
  EXPECT_EQ(common(signed_by("x-anthropic-billing-x"), one), 0U) << "which is another text";
}

std::string ids(std::uint32_t from, std::uint32_t count, std::string_view between = ",") {
  std::string text;
  for (std::uint32_t id = from; id < from + count; ++id) {
    text += (text.empty() ? "" : std::string(between)) + std::to_string(id * 1000);
  }
  return text;
}

TEST(RequestTokensTest, ListsOfTokenIdsAreTokens) {
  struct Row {
    std::string body;
    std::size_t tokens;
  };
  for (const Row& row : {
           Row{R"({"prompt":[)" + ids(1, 100) + "]}", 100},
           Row{R"({"prompt":[[)" + ids(1, 50) + "],[" + ids(51, 50) + "]]}", 100},
           Row{R"({"input":[ )" + ids(1, 40, " , ") + " ]}", 40},
           Row{R"({"input":[[1],[2,3]]})", 3},
           Row{R"({"token_ids":[)" + ids(0, 33) + R"(],"sampling_params":{"max_tokens":7}})", 33},
           Row{R"({"input_ids":[4294967295]})", 1},
           Row{R"({"prompt":[]})", 0},
           Row{R"({"prompt":[[]]})", 0},
       }) {
    const auto scan = scanned(row.body);
    EXPECT_EQ(scan.tokens().size(), row.tokens) << row.body;
    EXPECT_EQ(scan.estimated_tokens(), static_cast<std::int64_t>(row.tokens)) << row.body;
    EXPECT_EQ(scan.prompt_units().size(), (row.tokens + 15) / 16) << row.body;
    for (const std::size_t step : {1, 3, 10}) {
      const auto pieces = scanned(row.body, step);
      EXPECT_THAT(pieces.tokens(), ElementsAreArray(scan.tokens())) << row.body;
      EXPECT_THAT(pieces.prompt_units(), ElementsAreArray(scan.prompt_units())) << row.body;
    }
  }
  EXPECT_THAT(scanned(R"({"prompt":[0,1, 4294967295]})").tokens(), ElementsAre(0, 1, 4294967295));
  EXPECT_EQ(scanned(R"({"token_ids":[1],"sampling_params":{"max_tokens":7}})").max_tokens(), 7);
  EXPECT_EQ(scanned(R"({"input_ids":[1],"sampling_params":{"max_new_tokens":9}})").max_tokens(), 9);
  EXPECT_EQ(scanned(R"({"token_ids":[1],"sampling_params":{"max_tokens":"7"}})").max_tokens(), std::nullopt);
}

TEST(RequestTokensTest, WhatGrowsRepeatsItsUnitsHoweverItIsWritten) {
  EXPECT_EQ(common(R"({"prompt":[)" + ids(1, 64) + "]}", R"({"prompt":[)" + ids(1, 100, ", ") + "]}"), 4U);
  EXPECT_EQ(common(R"({"prompt":[[)" + ids(1, 64) + "],[7]]}", R"({"prompt":[)" + ids(1, 64) + "]}"), 4U);
  EXPECT_EQ(common(R"({"prompt":[)" + ids(1, 64) + "]}", R"({"prompt":[)" + ids(2, 64) + "]}"), 0U);
}

TEST(RequestTokensTest, WhatIsNoTokenIsText) {
  for (const std::string_view body :
       {R"({"prompt":[1,"a"]})", R"({"prompt":[1.5]})", R"({"prompt":[-1]})", R"({"prompt":[4294967296]})",
        R"({"prompt":[123456789012345]})", R"({"prompt":[1,null]})", R"({"prompt":"1,2"})",
        R"({"input":[{"role":"user","content":"1"}]})", R"({"prompt":[1],"system":"x"})",
        R"({"tools":[1,2]})"}) {
    EXPECT_THAT(scanned(body).tokens(), IsEmpty()) << body;
    EXPECT_GT(scanned(body).prompt_bytes(), 0U) << body;
    for (const std::size_t step : {1, 4}) {
      EXPECT_THAT(scanned(body, step).prompt_units(), ElementsAreArray(scanned(body).prompt_units())) << body;
    }
  }
}

TEST(RequestTextsTest, TheFirstOfSeveralPromptsLooksAsIfAlone) {
  const std::string alone = R"({"prompt":")" + kLong + "\"}";
  EXPECT_EQ(common(alone, R"({"prompt":[")" + kLong + R"(","second"]})"), 10U);
  EXPECT_EQ(common(alone, R"({"prompt": [ ")" + kLong + R"("]})"), 10U);
  EXPECT_EQ(common(R"({"input":")" + kLong + "\"}", R"({"input":[")" + kLong + R"("]})"), 10U);
}

TEST(RequestTextsTest, EmptyPromptsAreNone) {
  for (const std::string_view body :
       {R"({"prompt":null})", R"({"messages":[]})", R"({"messages":[ ]})", R"({"input":7})", R"({})"}) {
    EXPECT_EQ(scanned(body).prompt_bytes(), 0U) << body;
    EXPECT_THAT(scanned(body).prompt_units(), IsEmpty()) << body;
  }
}

TEST(RequestTextsTest, EmbeddedPromptsCountByTheirHash) {
  const std::string tensor(100'000, 'T');
  const auto one = scanned(R"({"prompt_embeds":")" + tensor + "\"}");
  const auto cut = scanned(R"({"prompt_embeds":")" + tensor + "\"}", 999);
  const auto other = scanned(R"({"prompt_embeds":")" + std::string(100'000, 'U') + "\"}");
  const auto listed = scanned(R"({"prompt_embeds":[")" + tensor + R"(","AAAA"]})");
  EXPECT_LT(one.estimated_tokens(), 300);
  EXPECT_GT(one.prompt_bytes(), 0U);
  EXPECT_THAT(one.prompt_units(), ElementsAreArray(cut.prompt_units()));
  EXPECT_NE(one.prompt_units()[0], other.prompt_units()[0]);
  EXPECT_LT(listed.estimated_tokens(), 600);
  EXPECT_FALSE(one.multimodal());
  EXPECT_THAT(one.media(), IsEmpty());
}

// --- media

std::vector<std::string> contents(std::string_view body, std::size_t step = SIZE_MAX) {
  const RequestScan scan = scanned(body, step);
  std::vector<std::string> found;
  for (const MediaContent& content : scan.media()) {
    found.push_back(std::string(name_of(content.modality)) + " " +
                    std::string(body.substr(content.begin, content.end - content.begin)));
  }
  return found;
}

std::string block(std::string_view parts) {
  return R"({"model":"m","messages":[{"role":"user","content":[)" + std::string(parts) + "]}]}";
}

TEST(RequestMediaTest, SourcesOfAnthropicsAreMedia) {
  struct Row {
    std::string part;
    std::vector<std::string> contents;
  };
  for (
      const Row& row : {
          Row{R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}})",
              {"image AAAA"}},
          Row{R"({"type":"image","source":{"type":"url","url":"http://a/1.png"}})", {"image http://a/1.png"}},
          // As programs write that sort the names.
          Row{R"({"source":{"data":"AAAA","media_type":"image/png","type":"base64"},"type":"image"})",
              {"image AAAA"}},
          Row{R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}})",
              {"image JVBE"}},
          Row{R"({"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"see"},
                   {"type":"image","source":{"type":"base64","media_type":"image/png","data":"BBBB"}}]})",
              {"image BBBB"}},
          Row{R"({"type":"image","source":{"type":"base64","data":"AAAA"},"cache_control":{"type":"ephemeral"}},
                  {"type":"image","source":{"type":"url","url":"u"}},{"type":"text","text":"source"})",
              {"image AAAA", "image u"}},
          Row{R"({"type":"document","source":{"type":"text","media_type":"text/plain","data":"words"}})", {}},
          Row{R"({"type":"tool_use","name":"fetch","input":{"source":{"url":"http://a"}}})", {}},
          Row{R"({"type":"text","text":"source"},{"data":"AAAA"})", {}},
          Row{R"({"type":"image","source":"AAAA"})", {}},
          Row{R"({"type":"image","source":{"type":"file","file_id":"f"}})", {}},
          Row{R"({"type":"image","source":{"x":{"data":"AAAA"}}})", {}},
          Row{R"({"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}})",
              {"image data:application/pdf;base64,JVBE"}},
      }) {
    for (const std::size_t step : {1UL, 2UL, 11UL, 64UL, SIZE_MAX}) {
      EXPECT_THAT(contents(block(row.part), step), ElementsAreArray(row.contents)) << row.part << step;
      EXPECT_THAT(scanned(block(row.part), step).prompt_units(),
                  ElementsAreArray(scanned(block(row.part)).prompt_units()));
    }
    EXPECT_EQ(scanned(block(row.part)).multimodal(), !row.contents.empty()) << row.part;
  }
}

TEST(RequestMediaTest, ItemsOfResponsesAreMedia) {
  const std::string body = R"({"input":[{"role":"user","content":[{"type":"input_text","text":"input_image?"},
      {"type":"input_image","image_url":"data:image/png;base64,AAAA","detail":"auto"},
      {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBE"}]},
      {"type":"function_call_output","call_id":"c","output":"twelve"},
      {"type":"function_call_output","call_id":"d","output":[{"type":"input_image","image_url":"http://b"}]}]})";
  for (const std::size_t step : {1UL, 13UL, SIZE_MAX}) {
    EXPECT_THAT(contents(body, step),
                ElementsAre("image data:image/png;base64,AAAA", "image data:application/pdf;base64,JVBE",
                            "image http://b"));
  }
  EXPECT_TRUE(scanned(R"({"input":[{"content":[{"type":"input_file","file_id":"f"}]}]})").multimodal());
}

TEST(RequestMediaTest, ToolsThatSpeakOfImagesHoldNone) {
  const auto scan = scanned(
      R"({"tools":[{"name":"see","input_schema":{"properties":{"image_url":{"type":"string"},
          "source":{"url":"http://a"}}}}],"system":[{"type":"text","text":"image_url"}],
          "messages":[{"role":"user","content":"hi"}]})");
  EXPECT_FALSE(scan.multimodal());
  EXPECT_THAT(scan.media(), IsEmpty());
}

TEST(RequestMediaTest, SourcesCostWhatTheirPictureSays) {
  // A GIF of 320x200: "GIF89a", the sizes, and more.
  const std::string body = block(
      R"({"type":"image","source":{"type":"base64","media_type":"image/gif","data":"R0lGODlhQAHIAC4uLi4u"}})");
  const auto scan = scanned(body);
  const auto items = media_items(scan, body);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0].tokens, 320 * 200 / 1024);
  EXPECT_NE(items[0].hash, 0U);
}

TEST(RequestMediaTest, FeaturesOfTokensAreSeen) {
  EXPECT_TRUE(scanned(R"({"token_ids":[1],"features":{"mm_hashes":{}}})").has_features());
  EXPECT_FALSE(scanned(R"({"token_ids":[1],"features":null})").has_features());
  EXPECT_FALSE(scanned(R"({"token_ids":[1]})").has_features());
}

}  // namespace
}  // namespace llmd::openai
