#include "json/patch.h"

#include <gtest/gtest.h>

namespace llmd::json {
namespace {

std::string patched(std::string_view target, std::string_view patch) {
  const auto result = apply_json_patch(*parse(target), *parse(patch));
  return result ? write(*result) : result.error().text();
}

struct PatchRow {
  std::string_view target;
  std::string_view patch;
  std::string_view result;
};

class JsonPatch : public testing::TestWithParam<PatchRow> {};
TEST_P(JsonPatch, GivesTheDocumentedResult) {
  EXPECT_EQ(patched(GetParam().target, GetParam().patch), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc6902, JsonPatch,
    testing::Values(
        PatchRow{R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])",
                 R"({"foo":"bar","baz":"qux"})"},
        PatchRow{R"({"foo":["a","c"]})", R"([{"op":"add","path":"/foo/1","value":"b"}])",
                 R"({"foo":["a","b","c"]})"},
        PatchRow{R"({"foo":["a"]})", R"([{"op":"add","path":"/foo/-","value":["b"]}])",
                 R"({"foo":["a",["b"]]})"},
        PatchRow{R"({"a":1,"b":2,"c":3})", R"([{"op":"remove","path":"/a"}])", R"({"b":2,"c":3})"},
        PatchRow{R"({"a":[1,2,3]})", R"([{"op":"remove","path":"/a/1"}])", R"({"a":[1,3]})"},
        PatchRow{R"({"a":1})", R"([{"op":"replace","path":"/a","value":null}])", R"({"a":null})"},
        PatchRow{R"({"a":{"x":1},"b":{}})", R"([{"op":"move","from":"/a/x","path":"/b/y"}])",
                 R"({"a":{},"b":{"y":1}})"},
        PatchRow{R"({"a":[1]})", R"([{"op":"copy","from":"/a","path":"/b"}])", R"({"a":[1],"b":[1]})"},
        PatchRow{R"({"a/b":{"~":1}})", R"([{"op":"test","path":"/a~1b/~0","value":1}])",
                 R"({"a/b":{"~":1}})"},
        PatchRow{R"({"a":1})", R"([{"op":"add","path":"","value":[]}])", "[]"},
        PatchRow{R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])",
                 "[0]: test failed: the value is 1"},
        PatchRow{R"({"a":1})", R"([{"op":"add","path":"/x/y","value":2}])",
                 "[0]: the document has no \"x\" there"},
        PatchRow{R"({"a":[]})", R"([{"op":"add","path":"/a/1","value":2}])",
                 "[0]: \"1\" is no index of a list of 0"},
        PatchRow{R"({"a":[1]})", R"([{"op":"remove","path":"/a/00"}])",
                 "[0]: the document has no \"00\" there"},
        PatchRow{R"({"a":{}})", R"([{"op":"move","from":"/a","path":"/a/b"}])",
                 "[0]: from: a value cannot be moved into itself"},
        PatchRow{"{}", R"([{"op":"add","path":"/a"}])", "[0]: value: missing"},
        PatchRow{"{}", R"([{"op":"merge","path":"/a"}])",
                 "[0]: op: unknown operation \"merge\" (one of add, remove, replace, move, copy, test)"},
        PatchRow{"{}", R"([{"op":"remove","path":"a"}])",
                 "[0]: path: \"a\" is no JSON pointer: it must begin with /"},
        PatchRow{"{}", "{}", "a JSON patch is a list of operations, got an object"}));

TEST(JsonPatch, CopiesCannotMultiplyWithoutEnd) {
  Array operations;
  for (int i = 0; i < 60; ++i) {
    operations.push_back(*parse(fmt::format(R"({{"op":"copy","from":"","path":"/x{}"}})", i)));
  }
  const auto result = apply_json_patch(Value(Object{}), Value(operations));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::ResourceExhausted);
}

struct MergeRow {
  std::string_view target;
  std::string_view patch;
  std::string_view result;
};
class MergePatch : public testing::TestWithParam<MergeRow> {};
TEST_P(MergePatch, GivesTheResultOfTheRfc) {
  Value target = *parse(GetParam().target);
  apply_merge_patch(target, *parse(GetParam().patch));
  EXPECT_EQ(write(target), GetParam().result);
}

// The table of RFC 7386, appendix A.
INSTANTIATE_TEST_SUITE_P(
    Rfc7386, MergePatch,
    testing::Values(MergeRow{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                    MergeRow{R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                    MergeRow{R"({"a":"b"})", R"({"a":null})", "{}"},
                    MergeRow{R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                    MergeRow{R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                    MergeRow{R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                    MergeRow{R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                    MergeRow{R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                    MergeRow{R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                    MergeRow{R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                    MergeRow{R"({"a":"foo"})", "null", "null"},
                    MergeRow{R"({"a":"foo"})", R"("bar")", R"("bar")"},
                    MergeRow{R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                    MergeRow{"[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
                    MergeRow{"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}));

TEST(MergePatch, OfTwoValuesLeadsFromOneToTheOther) {
  Value before = *parse(R"({"a":1,"b":{"x":1,"y":2},"c":[1],"d":{"e":1}})");
  const Value after = *parse(R"({"b":{"x":1,"z":3},"c":[1,2],"d":7,"f":{}})");
  const Value patch = make_merge_patch(before, after);
  EXPECT_EQ(write(patch), R"({"a":null,"b":{"y":null,"z":3},"c":[1,2],"d":7,"f":{}})");
  apply_merge_patch(before, patch);
  EXPECT_EQ(before, after);
}

TEST(Pointer, LeadsToTheValueAndNamesWhatIsMissing) {
  const Value root = *parse(R"({"a/b":[{"":1}]})");
  EXPECT_EQ(**at_pointer(root, "/a~1b/0/"), Value(1));
  EXPECT_EQ(at_pointer(root, "/a~1b/1").error().message, "the document has no \"1\" there");
  EXPECT_FALSE(at_pointer(root, "/a~2b"));
  EXPECT_EQ(escape_pointer_token("a/b~c"), "a~1b~0c");
}

}  // namespace
}  // namespace llmd::json
