#include "json/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "json/path.h"

namespace llmd::json {
namespace {

struct Mistaken {
  std::string_view text;
  std::string_view message;
};

class JsonMistakes : public testing::TestWithParam<Mistaken> {};

TEST_P(JsonMistakes, AreRefusedWithTheirPosition) {
  const auto value = parse(GetParam().text);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Table, JsonMistakes,
                         testing::Values(Mistaken{"", "1:1: the document is empty"},
                                         Mistaken{"{\"a\":1", "1:7: the document ends too early"},
                                         Mistaken{"{\n  \"a\": x}", "2:8: unexpected character 'x'"},
                                         Mistaken{"[1,]", "1:4: unexpected character ']'"},
                                         Mistaken{"{} {}", "1:4: unexpected text after the document"},
                                         Mistaken{"{\"a\":1,\n\"b\":{\"c\":1,\"c\":2}}",
                                                  "2:14: duplicate key \"c\""},
                                         Mistaken{"{\"\":1,\"\":2}", "1:8: duplicate key \"\""}));

TEST(JsonParser, LimitsDepthAndSize) {
  EXPECT_TRUE(parse(std::string(64, '[') + std::string(64, ']')));
  const auto deep = parse(std::string(65, '[') + std::string(65, ']'));
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().message, testing::HasSubstr("nested deeper than 64 levels"));
  EXPECT_EQ(parse("[1,2,3]", {.max_bytes = 3}).error().kind, ErrorKind::ResourceExhausted);
}

TEST(JsonParser, SameKeyInDifferentObjectsIsFine) {
  EXPECT_TRUE(parse(R"({"a":{"b":1},"b":[{"b":1},{"b":2}]})"));
}

TEST(JsonWriter, WritesWhatItReads) {
  for (
      const std::string_view text :
      {R"({"z":1,"a":[true,false,null],"s":"a\"\\\n\u0001ü","n":-9223372036854775808,"u":18446744073709551615})",
       "[]", "{}", "1.5", "1.0", "1e+300", "\"\"", "[[],{}]"}) {
    const auto value = parse(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(write(*value), text);
  }
  EXPECT_EQ(write(Value(std::nan(""))), "null");
}

TEST(JsonWriter, PrettyFormHasTwoSpacesAndAFinalNewline) {
  EXPECT_EQ(write_pretty(*parse(R"({"a":[1,{}],"b":[]})")),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}\n");
}

TEST(Path, FindsMembersIndicesAndKeysWithDots) {
  const Value root =
      *parse(R"({"spec":{"containers":[{"name":"main"}]},"labels":{"app.kubernetes.io/name":"x"},"n":2.0})");
  EXPECT_EQ(string_at(root, "spec.containers[0].name"), "main");
  EXPECT_EQ(string_at(root, "labels[app.kubernetes.io/name]"), "x");
  EXPECT_EQ(int_at(root, "n"), 2);
  EXPECT_EQ(string_at(root, "spec.containers[1].name"), std::nullopt);
  EXPECT_EQ(string_at(root, "spec.containers.name"), std::nullopt);
  EXPECT_EQ(string_at(root, "n.m"), std::nullopt);
  EXPECT_EQ(find(root, ""), &root);
  EXPECT_EQ(find(root, "spec["), nullptr);
}

TEST(Path, SetsAndMakesWhatIsMissing) {
  Value root;
  ASSERT_TRUE(set_at(root, "a.b[app.kubernetes.io/name]", Value(1)));
  ASSERT_TRUE(set_at(root, "list", Value(Array{})));
  ASSERT_TRUE(set_at(root, "list[0].x", Value("y")));
  EXPECT_EQ(write(root), R"({"a":{"b":{"app.kubernetes.io/name":1}},"list":[{"x":"y"}]})");
  EXPECT_FALSE(set_at(root, "list[7]", Value(1)));
}

TEST(Path, IsWrittenTheWayItIsRead) {
  EXPECT_EQ(path_index(path_member("spec", "containers"), 2), "spec.containers[2]");
  EXPECT_EQ(path_member("labels", "a.b/c"), "labels[a.b/c]");
  EXPECT_EQ(path_parent("spec.containers[2]"), "spec.containers");
  EXPECT_EQ(path_parent("spec"), "");
}

}  // namespace
}  // namespace llmd::json
