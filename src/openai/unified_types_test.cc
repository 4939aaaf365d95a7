// Model lists, member edits and typed errors: what a gateway in front of several engines needs.
#include <gtest/gtest.h>

#include <array>

#include "openai/api_error.h"
#include "openai/model_list.h"
#include "openai/top_level_members.h"

namespace llmd::openai {
namespace {

TEST(ModelListTest, ReadsWhatEnginesSendAndLeavesOutWhatHasNoName) {
  const auto cards = parse_model_list(
      R"({"object":"list","data":[{"id":"m","created":7,"owned_by":"vllm","max_model_len":4096,"permission":[{}]},
          {"id":"sql","parent":"m","max_model_len":null},{"object":"model"},"x"]})");
  ASSERT_TRUE(cards) << cards.error().text();
  ASSERT_EQ(cards->size(), 2u);
  EXPECT_EQ(cards->at(0).created, 7);
  EXPECT_EQ(cards->at(0).max_model_len, 4096);
  EXPECT_EQ(cards->at(1).parent, "m");
  EXPECT_EQ(cards->at(1).max_model_len, std::nullopt);
}

TEST(ModelListTest, SaysWhyATextIsNoList) {
  EXPECT_EQ(parse_model_list("<html>").error().kind, ErrorKind::DataLoss);
  EXPECT_EQ(parse_model_list(R"({"object":"error"})").error().message, "the list of models has no \"data\"");
}

TEST(ModelListTest, WritesCardsAsClientsReadThem) {
  const ListedCard card{
      .card = {.id = "m\"", .created = 3, .owned_by = "vllm", .root = {}, .parent = {}, .max_model_len = 16},
      .stale = true,
      .via = "pool"};
  EXPECT_EQ(write_model(card),
            R"({"id":"m\"","object":"model","created":3,"owned_by":"vllm","parent":null,"max_model_len":16,)"
            R"("via":"pool","stale":true})");
  EXPECT_EQ(write_model_list({}), R"({"object":"list","data":[]})");
}

struct Cut {
  std::string_view body;
  std::string_view rest;
};
class CutTable : public testing::TestWithParam<Cut> {};

TEST_P(CutTable, LeavesEveryOtherByteAlone) {
  constexpr std::array<std::string_view, 2> kNames{"owned_by", "engine"};
  const auto members = find_top_level_members(GetParam().body, kNames);
  ASSERT_TRUE(members);
  EXPECT_EQ(with_members_changed(GetParam().body, *members, nullptr, {}), GetParam().rest);
}

INSTANTIATE_TEST_SUITE_P(Bodies, CutTable,
                         testing::Values(Cut{R"({"owned_by":"v","model":"m"})", R"({"model":"m"})"},
                                         Cut{R"({"model":"m","owned_by":"v"})", R"({"model":"m"})"},
                                         Cut{R"({ "model" : "m" , "owned_by" : "v" , "n" : 1 })",
                                             R"({ "model" : "m" , "n" : 1 })"},
                                         Cut{R"({"a":1,"owned_by":"v","engine":"e"})", R"({"a":1})"},
                                         Cut{R"({"owned_by":"v","engine":"e"})", R"({})"},
                                         Cut{R"({"owned_by":"v","owned_by":"w","b":{"owned_by":"x"}})",
                                             R"({"b":{"owned_by":"x"}})"},
                                         Cut{R"({"p":"\"owned_by\":\"x\"","engine":null})",
                                             R"({"p":"\"owned_by\":\"x\""})"}));

TEST(TopLevelMembersTest, ReplacesTheModelInPlace) {
  constexpr std::string_view kBody = R"({"prompt":"\u00e9 \"model\": 1", "model" : "alias","n":1.50})";
  constexpr std::array<std::string_view, 1> kNames{"model"};
  const auto members = find_top_level_members(kBody, kNames);
  ASSERT_TRUE(members && members->size() == 1);
  EXPECT_EQ(members->front().text, "alias");
  EXPECT_EQ(with_members_changed(kBody, {}, &members->front(), "real/\"name"),
            R"({"prompt":"\u00e9 \"model\": 1", "model" : "real/\"name","n":1.50})");
}

TEST(TopLevelMembersTest, RefusesWhatIsNoObject) {
  for (const std::string_view text : {"", "[]", "{", R"({"a")", R"({"a":})", R"({"a":1}x)", R"({"a":"\)"}) {
    EXPECT_FALSE(find_top_level_members(text, {})) << text;
  }
}

TEST(ApiErrorTest, HasACodeProgramsCanTellApart) {
  EXPECT_EQ(
      (ApiError{.status = 404, .code = "model_not_found", .message = "no `x`", .param = "model"}.body()),
      R"({"error":{"message":"no `x`","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
}

}  // namespace
}  // namespace llmd::openai
