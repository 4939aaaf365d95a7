#include "json/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::json {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string as_json(std::string_view yaml) {
  const auto documents = parse_yaml(yaml, "t.yaml");
  if (!documents) {
    return documents.error().text();
  }
  std::string all;
  for (const YamlDocument& document : *documents) {
    all += write(document.value);
  }
  return all;
}

// Recorded from sigs.k8s.io/yaml 1.4.0, the reader inside kubectl.
constexpr std::pair<std::string_view, std::string_view> kScalars[] = {
    {"yes", "true"},
    {"Yes", "true"},
    {"yEs", "\"yEs\""},
    {"y", "true"},
    {"N", "false"},
    {"no", "false"},
    {"on", "true"},
    {"OFF", "false"},
    {"True", "true"},
    {"tRue", "\"tRue\""},
    {"null", "null"},
    {"~", "null"},
    {"nULL", "\"nULL\""},
    {"", "null"},
    {"''", "\"\""},
    {"0644", "420"},
    {"0o644", "420"},
    {"0x1F", "31"},
    {"0b101", "5"},
    {"-0b101", "-5"},
    {"-0644", "-420"},
    {"+12", "12"},
    {"1_000", "1000"},
    {"_1", "\"_1\""},
    {"1_", "1"},
    {"08", "8"},
    {"00", "0"},
    {"-0", "0"},
    {"1.5", "1.5"},
    {"1.", "1"},
    {".5", "0.5"},
    {"-.5", "-0.5"},
    {"1e3", "1000"},
    {"1E+3", "1000"},
    {"3.0", "3"},
    {"inf", "\"inf\""},
    {"1:30", "\"1:30\""},
    {"123e", "\"123e\""},
    {"1.2.3", "\"1.2.3\""},
    {"0b2", "\"0b2\""},
    {"0x", "\"0x\""},
    {"1.5_0", "1.5"},
    {"0_7", "7"},
    {".", "\".\""},
    {"+", "\"+\""},
    {"--1", "\"--1\""},
    {"-1.5e-3", "-0.0015"},
    {"=", "\"=\""},
    {"<<", "\"<<\""},
    {"1e400", "\"1e400\""},
    {"\"yes\"", "\"yes\""},
    {"'12'", "\"12\""},
    {"!!str 12", "\"12\""},
    {"!!int \"12\"", "12"},
    {"!!float 3", "3"},
    {"!!bool \"yes\"", "true"},
    {"!!binary aGVsbG8=", "\"hello\""},
    {"2001-01-01", "\"2001-01-01\""},
    {"9223372036854775807", "9223372036854775807"},
    {"18446744073709551615", "18446744073709551615"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"1e21", "1e+21"},
};

TEST(YamlScalars, MeanWhatTheyMeanToKubectl) {
  for (const auto& [yaml, json] : kScalars) {
    EXPECT_EQ(as_json(fmt::format("a: {}\n", yaml)), fmt::format("{{\"a\":{}}}", json)) << yaml;
  }
}

TEST(YamlScalars, KeysAreStrings) {
  EXPECT_EQ(as_json("1: a\nyes: b\n1.5: c\n'2': d\n"), R"({"1":"a","true":"b","1.5":"c","2":"d"})");
  EXPECT_THAT(as_json("~: a\n"), HasSubstr("a key must be a string, not null"));
  EXPECT_THAT(as_json("[1]: a\n"), HasSubstr("a key must be a string, not a list or a mapping"));
}

TEST(Yaml, ReadsAnchorsAndMergeKeys) {
  EXPECT_EQ(as_json("a: &x [1, 2]\nb: *x\n"), R"({"a":[1,2],"b":[1,2]})");
  EXPECT_EQ(as_json("base: &b {k: 1, l: 2}\nuse: {<<: *b, k: 3}\n"),
            R"({"base":{"k":1,"l":2},"use":{"k":3,"l":2}})");
  EXPECT_EQ(as_json("x: {<<: [{a: 1}, {a: 2, b: 2}], c: 3}\n"), R"({"x":{"c":3,"a":1,"b":2}})");
}

TEST(Yaml, ReadsSeveralDocumentsAndSkipsEmptyOnes) {
  EXPECT_EQ(as_json("---\n# nothing\n---\na: 1\n---\n---\n- b\n...\n"), R"({"a":1}["b"])");
  EXPECT_EQ(as_json(""), "");
  EXPECT_EQ(as_json("# only a comment\n"), "");
}

TEST(Yaml, ReadsJson) {
  EXPECT_EQ(as_json(R"({"a": [1, "x", null, true]})"), R"({"a":[1,"x",null,true]})");
}

TEST(Yaml, MistakesCarryFileLineAndColumn) {
  EXPECT_EQ(as_json("a: 1\nb:\n  c: 1\n  c: 2\n"), "t.yaml:4:3: duplicate key \"c\", first given in line 3");
  EXPECT_THAT(as_json("a:\n\tb: 1\n"), StartsWith("t.yaml:2:1: "));
  EXPECT_THAT(as_json("a:\n\tb: 1\n"), HasSubstr("never with tabs"));
  EXPECT_EQ(as_json("a: *nowhere\n"), "t.yaml:1:4: no anchor &nowhere before this alias");
  EXPECT_EQ(as_json("a: &a [*a]\n"), "t.yaml:1:8: alias *a inside its own anchor");
  EXPECT_EQ(as_json("a: .inf\n"), "t.yaml:1:4: JSON has no number .inf (put it in quotes)");
  EXPECT_EQ(as_json("a: !!int x\n"), "t.yaml:1:4: \"x\" is no !!int");
  EXPECT_EQ(as_json("a: !vault x\n"), "t.yaml:1:4: unknown tag !vault");
  EXPECT_EQ(as_json("a: {<<: 1}\n"), "t.yaml:1:9: << needs a mapping or a list of mappings");
  EXPECT_THAT(as_json("a: \"\xff\"\n"), StartsWith("t.yaml:"));
  EXPECT_THAT(as_json("a: [1\n"), StartsWith("t.yaml:2:1: "));
}

TEST(Yaml, ABillionLaughsEndInAnError) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb +=
        fmt::format("a{0}: &a{0} [*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1}]\n", i, i - 1);
  }
  EXPECT_THAT(as_json(bomb), HasSubstr("more than 1000000 values"));
}

TEST(Yaml, LimitsDepthAndSize) {
  EXPECT_THAT(as_json(std::string(70, '[') + std::string(70, ']')),
              HasSubstr("nested deeper than 64 levels"));
  EXPECT_EQ(parse_yaml("a: 1", "t", {.max_bytes = 2}).error().kind, ErrorKind::ResourceExhausted);
}

TEST(Yaml, TellsWhereAPathIsWritten) {
  const auto documents = parse_yaml(
      "kind: A\nspec:\n  model:\n    uri: x\n  list:\n  - name: a\n  - name: b\n    value: 1\n"
      "  labels: {app.kubernetes.io/name: x}\n",
      "s.yaml");
  ASSERT_TRUE(documents);
  const YamlDocument& document = documents->at(0);
  EXPECT_EQ(document.position_of("spec.model.uri"), (Position{4, 5}));
  EXPECT_EQ(document.position_of("spec.list[1].value"), (Position{8, 5}));
  EXPECT_EQ(document.position_of("spec.list[1]"), (Position{7, 5}));
  EXPECT_EQ(document.position_of("spec.labels[app.kubernetes.io/name]"), (Position{9, 12}));
  EXPECT_EQ(document.position_of("spec.model.missing.deep"), (Position{3, 3}));
  EXPECT_EQ(document.place_of("spec.model.uri"), "s.yaml:4:5");
  EXPECT_EQ(document.position_of("nothing"), (Position{1, 1}));
}

TEST(YamlWriter, WritesTextsOfSeveralLinesAsBlocks) {
  EXPECT_EQ(write_yaml(*parse(R"({"a":"größe\nx: y\n"})")), "a: |\n  größe\n  x: y\n");
  EXPECT_EQ(write_yaml(*parse(R"({"a":"one\ntwo"})")), "a: |-\n  one\n  two\n");
}

TEST(YamlWriter, WritesKubectlsStyle) {
  const Value value = *parse(
      R"({"apiVersion":"v1","metadata":{"labels":{},"name":"a"},"list":[{"name":"x","args":["-v","8"]},[1,2],[]],)"
      R"("script":"set -e\necho hi\n","half":1.5,"none":null,"flag":"true","date":"2001-01-01","t":"2020-01-01T00:00:00Z"})");
  EXPECT_EQ(write_yaml(value), R"(apiVersion: v1
metadata:
  labels: {}
  name: a
list:
- name: x
  args:
  - -v
  - "8"
- - 1
  - 2
- []
script: |
  set -e
  echo hi
half: 1.5
none: null
flag: "true"
date: "2001-01-01"
t: "2020-01-01T00:00:00Z"
)");
}

}  // namespace
}  // namespace llmd::json
