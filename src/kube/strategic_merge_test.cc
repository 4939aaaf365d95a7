#include "kube/strategic_merge.h"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace llmd::kube {
namespace {

boost::json::value json_of(const char* text) {
  return boost::json::parse(text);
}

struct Case {
  const char* name;
  const char* target;
  const char* patch;
  const char* result;
};
class StrategicMerge : public testing::TestWithParam<Case> {};

TEST_P(StrategicMerge, GivesTheExpectedPod) {
  const auto merged =
      strategic_merge(json_of(GetParam().target), json_of(GetParam().patch), schema_of_kind("Pod"));
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_EQ(*merged, json_of(GetParam().result)) << boost::json::serialize(*merged);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, StrategicMerge,
    testing::Values(
        Case{"ContainersMergeByName",
             R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}})",
             R"({"spec":{"containers":[{"name":"b","image":"2"}]}})",
             R"({"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"2"}]}})"},
        Case{"PatchDeleteRemovesAnItem", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
             R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})",
             R"({"spec":{"containers":[{"name":"b"}]}})"},
        Case{
            "PortsMergeByNumber",
            R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"x"}]}]}})",
            R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP"}]}]}})",
            R"({"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"x","protocol":"TCP"}]}]}})"},
        Case{"ListsWithoutAKeyAreReplaced", R"({"spec":{"containers":[{"name":"a","args":["x","y"]}]}})",
             R"({"spec":{"containers":[{"name":"a","args":["z"]}]}})",
             R"({"spec":{"containers":[{"name":"a","args":["z"]}]}})"},
        Case{"NullRemoves", R"({"metadata":{"labels":{"a":"1","b":"2"}}})",
             R"({"metadata":{"labels":{"a":null}}})", R"({"metadata":{"labels":{"b":"2"}}})"},
        Case{
            "ElementOrderIsFollowedAndNotStored", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})",
            R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"i"}]}})",
            R"({"spec":{"containers":[{"name":"b"},{"name":"a","image":"i"}]}})"},
        Case{"FinalizersAreASet", R"({"metadata":{"finalizers":["a"]}})",
             R"({"metadata":{"finalizers":["b","a"]}})", R"({"metadata":{"finalizers":["a","b"]}})"},
        Case{"PrimitivesCanBeDeletedFromASet", R"({"metadata":{"finalizers":["a","b"]}})",
             R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}})",
             R"({"metadata":{"finalizers":["b"]}})"},
        Case{
            "RetainKeysDropsTheOthers", R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})",
            R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}})",
            R"({"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}})"},
        Case{"PatchReplaceReplacesAMap", R"({"metadata":{"labels":{"a":"1"}}})",
             R"({"metadata":{"labels":{"$patch":"replace","b":"2"}}})",
             R"({"metadata":{"labels":{"b":"2"}}})"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(StrategicMergeMistakes, AnItemWithoutItsKeyIsRefused) {
  const auto merged = strategic_merge(json_of("{}"), json_of(R"({"spec":{"containers":[{"image":"x"}]}})"),
                                      schema_of_kind("Pod"));
  ASSERT_FALSE(merged);
  EXPECT_EQ(merged.error().message, R"(map: {"image":"x"} does not contain declared merge key: name)");
}

TEST(Schema, KnowsKeysAndDefaultsOfPorts) {
  const Type* pod = schema_of_kind("Pod");
  ASSERT_NE(pod, nullptr);
  const Type* containers = pod->definition->find("spec")->type->definition->find("containers")->type;
  const Type* ports = containers->element->definition->find("ports")->type;
  EXPECT_EQ(list_item_key(*containers, json_of(R"({"name":"main","image":"x"})")), R"({"name":"main"})");
  EXPECT_EQ(list_item_key(*ports, json_of(R"({"containerPort":80})")),
            R"({"containerPort":80,"protocol":"TCP"})");
}

TEST(Schema, EveryTypeHasFields) {
  for (const StructType* type : schema_structs()) {
    EXPECT_FALSE(type->fields.empty()) << type->name << " is used in a schema table and not described";
  }
}

}  // namespace
}  // namespace llmd::kube
