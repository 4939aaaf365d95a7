#include "llmisvc/merge.h"

#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

struct Case {
  const char* name;
  const char* base;
  const char* override_with;
  const char* result;
};

class Merge : public testing::TestWithParam<Case> {};

TEST_P(Merge, GivesTheDocumentedResult) {
  const auto base = json::parse_object(GetParam().base);
  const auto with = json::parse_object(GetParam().override_with);
  ASSERT_TRUE(base && with);
  EXPECT_EQ(json::write(json::Value(merge(*base, *with))), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, Merge,
    testing::Values(
        // Upstream puts the override's elements first ([side, main]); here the base's order stays.
        Case{"NewContainerFollows", R"({"containers":[{"name":"main"}]})",
             R"({"containers":[{"name":"side"}]})", R"({"containers":[{"name":"main"},{"name":"side"}]})"},
        Case{"KnownContainerIsMerged", R"({"containers":[{"name":"main","image":"a"},{"name":"aux"}]})",
             R"({"containers":[{"name":"aux","image":"b"},{"name":"side"}]})",
             R"({"containers":[{"name":"main","image":"a"},{"name":"aux","image":"b"},{"name":"side"}]})"},
        // Upstream: [FOO, HOME, LEVEL], so that $(HOME) inside FOO is not expanded.
        Case{
            "EnvironmentKeepsItsOrder",
            R"({"env":[{"name":"HOME","value":"/h"},{"name":"LEVEL","value":"1"}]})",
            R"({"env":[{"name":"LEVEL","value":"2"},{"name":"FOO","value":"$[HOME]"}]})",
            R"({"env":[{"name":"HOME","value":"/h"},{"name":"LEVEL","value":"2"},{"name":"FOO","value":"$[HOME]"}]})"},
        Case{"ArgumentsAreReplaced", R"({"args":["a","b"]})", R"({"args":["c"]})", R"({"args":["c"]})"},
        Case{"LimitsMergeByResource", R"({"resources":{"limits":{"cpu":"1","gpu":"1"}}})",
             R"({"resources":{"limits":{"gpu":"2"}}})", R"({"resources":{"limits":{"cpu":"1","gpu":"2"}}})"},
        Case{"SameKindOfVolumeMergesFieldWise",
             R"({"volumes":[{"name":"d","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}}]})",
             R"({"volumes":[{"name":"d","emptyDir":{"sizeLimit":"16Gi"}}]})",
             R"({"volumes":[{"name":"d","emptyDir":{"medium":"Memory","sizeLimit":"16Gi"}}]})"},
        // Upstream keeps both sources, which the API server refuses.
        Case{"OtherKindOfVolumeReplaces", R"({"volumes":[{"name":"d","emptyDir":{}}]})",
             R"({"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]})",
             R"({"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]})"},
        Case{"OtherKindOfProbeReplaces", R"({"livenessProbe":{"httpGet":{"port":1},"periodSeconds":10}})",
             R"({"livenessProbe":{"exec":{"command":["x"]}}})",
             R"({"livenessProbe":{"periodSeconds":10,"exec":{"command":["x"]}}})"},
        Case{"ValueFromReplacesValue", R"({"env":[{"name":"A","value":"x"}]})",
             R"({"env":[{"name":"A","valueFrom":{"fieldRef":{}}}]})",
             R"({"env":[{"name":"A","valueFrom":{"fieldRef":{}}}]})"},
        // Upstream keeps true: false is Go's zero value.
        Case{"FalseOverrides", R"({"parallelism":{"tensor":2,"expert":true}})",
             R"({"parallelism":{"tensor":4,"expert":false}})",
             R"({"parallelism":{"tensor":4,"expert":false}})"},
        Case{"ZeroOverrides", R"({"replicas":3})", R"({"replicas":0})", R"({"replicas":0})"},
        Case{"NullRemoves", R"({"replicas":3,"a":1})", R"({"replicas":null})", R"({"a":1})"},
        Case{"DeleteRemovesAnElement", R"({"containers":[{"name":"main"},{"name":"side"}]})",
             R"({"containers":[{"name":"side","$patch":"delete"}]})", R"({"containers":[{"name":"main"}]})"},
        Case{"ReplaceDoesNotMerge", R"({"resources":{"limits":{"cpu":"1"}}})",
             R"({"resources":{"$patch":"replace","requests":{"cpu":"2"}}})",
             R"({"resources":{"requests":{"cpu":"2"}}})"},
        Case{"MountsMergeByPath", R"({"volumeMounts":[{"name":"dshm","mountPath":"/dev/shm"}]})",
             R"({"volumeMounts":[{"name":"shm","mountPath":"/dev/shm"}]})",
             R"({"volumeMounts":[{"name":"shm","mountPath":"/dev/shm"}]})"},
        Case{"RulesAreReplaced", R"({"rules":[1,2],"hostnames":["a"]})", R"({"rules":[3]})",
             R"({"rules":[3],"hostnames":["a"]})"},
        Case{"NullsInNewObjectsVanish", "{}", R"({"a":{"b":null,"c":1}})", R"({"a":{"c":1}})"},
        Case{"EmptyObjectTurnsOn", "{}", R"({"router":{"gateway":{}}})", R"({"router":{"gateway":{}}})"}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace llmd::llmisvc
