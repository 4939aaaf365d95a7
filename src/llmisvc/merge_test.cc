#include "llmisvc/merge.h"

#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

struct Case {
  const char* name;
  const char* base;
  const char* override_with;
  const char* result;
  const char* upstream = nullptr;  // KServe's result, where ours differs on purpose
};

class Merge : public testing::TestWithParam<Case> {};

TEST_P(Merge, GivesTheDocumentedResult) {
  const auto base = json::parse_object(GetParam().base);
  const auto with = json::parse_object(GetParam().override_with);
  ASSERT_TRUE(base && with);
  EXPECT_EQ(json::write(json::Value(merge(*base, *with))), GetParam().result);
  if (GetParam().upstream != nullptr) {
    EXPECT_STRNE(GetParam().upstream, GetParam().result) << "the same as upstream: drop the note";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, Merge,
    testing::Values(
        // Upstream puts the override's elements first ([side, main]); here the base's order stays.
        Case{"NewContainerFollows", R"({"containers":[{"name":"main"}]})",
             R"({"containers":[{"name":"side"}]})", R"({"containers":[{"name":"main"},{"name":"side"}]})",
             R"({"containers":[{"name":"side"},{"name":"main"}]})"},
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
             R"({"volumes":[{"name":"d","persistentVolumeClaim":{"claimName":"c"}}]})",
             R"({"volumes":[{"name":"d","emptyDir":{},"persistentVolumeClaim":{"claimName":"c"}}]})"},
        Case{"OtherKindOfProbeReplaces", R"({"livenessProbe":{"httpGet":{"port":1},"periodSeconds":10}})",
             R"({"livenessProbe":{"exec":{"command":["x"]}}})",
             R"({"livenessProbe":{"periodSeconds":10,"exec":{"command":["x"]}}})",
             R"({"livenessProbe":{"httpGet":{"port":1},"periodSeconds":10,"exec":{"command":["x"]}}})"},
        Case{"ValueFromReplacesValue", R"({"env":[{"name":"A","value":"x"}]})",
             R"({"env":[{"name":"A","valueFrom":{"fieldRef":{}}}]})",
             R"({"env":[{"name":"A","valueFrom":{"fieldRef":{}}}]})"},
        // Upstream keeps true: false is Go's zero value.
        Case{"FalseOverrides", R"({"parallelism":{"tensor":2,"expert":true}})",
             R"({"parallelism":{"tensor":4,"expert":false}})",
             R"({"parallelism":{"tensor":4,"expert":false}})",
             R"({"parallelism":{"tensor":4,"expert":true}})"},
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
        Case{"EmptyObjectTurnsOn", "{}", R"({"router":{"gateway":{}}})", R"({"router":{"gateway":{}}})"},
        // Every keyed list by its key.
        Case{"InitContainersAndMain", R"({"containers":[{"name":"init-a"},{"name":"main","image":"a"}]})",
             R"({"containers":[{"name":"main","image":"b"},{"name":"x"}]})",
             R"({"containers":[{"name":"init-a"},{"name":"main","image":"b"},{"name":"x"}]})"},
        Case{"NewVariableFollows", R"({"env":[{"name":"HOME"},{"name":"LEVEL"}]})",
             R"({"env":[{"name":"FOO"}]})", R"({"env":[{"name":"HOME"},{"name":"LEVEL"},{"name":"FOO"}]})",
             R"({"env":[{"name":"FOO"},{"name":"HOME"},{"name":"LEVEL"}]})"},
        Case{"PortsMergeByNumber", R"({"ports":[{"containerPort":1,"name":"a"}]})",
             R"({"ports":[{"containerPort":1,"protocol":"TCP"},{"containerPort":2}]})",
             R"({"ports":[{"containerPort":1,"name":"a","protocol":"TCP"},{"containerPort":2}]})"},
        Case{"DevicesMergeByPath", R"({"volumeDevices":[{"devicePath":"/d","name":"a"}]})",
             R"({"volumeDevices":[{"devicePath":"/d","name":"b"}]})",
             R"({"volumeDevices":[{"devicePath":"/d","name":"b"}]})"},
        Case{"PullSecretsMergeByName", R"({"imagePullSecrets":[{"name":"a"}]})",
             R"({"imagePullSecrets":[{"name":"b"}]})", R"({"imagePullSecrets":[{"name":"a"},{"name":"b"}]})"},
        Case{"HostAliasesMergeByAddress", R"({"hostAliases":[{"ip":"1","hostnames":["a"]}]})",
             R"({"hostAliases":[{"ip":"1","hostnames":["b"]},{"ip":"2"}]})",
             R"({"hostAliases":[{"ip":"1","hostnames":["b"]},{"ip":"2"}]})"},
        Case{"SpreadMergesByTopology", R"({"topologySpreadConstraints":[{"topologyKey":"z","maxSkew":1}]})",
             R"({"topologySpreadConstraints":[{"topologyKey":"z","maxSkew":2}]})",
             R"({"topologySpreadConstraints":[{"topologyKey":"z","maxSkew":2}]})"},
        Case{"OtherKindOfClaimReplaces", R"({"resourceClaims":[{"name":"g","resourceClaimName":"c"}]})",
             R"({"resourceClaims":[{"name":"g","resourceClaimTemplateName":"t"}]})",
             R"({"resourceClaims":[{"name":"g","resourceClaimTemplateName":"t"}]})",
             R"({"resourceClaims":[{"name":"g","resourceClaimName":"c","resourceClaimTemplateName":"t"}]})"},
        Case{"GatesMergeByName", R"({"schedulingGates":[{"name":"a"}]})",
             R"({"schedulingGates":[{"name":"a"},{"name":"b"}]})",
             R"({"schedulingGates":[{"name":"a"},{"name":"b"}]})"},
        // Lists without a key are replaced.
        Case{"TolerationsAreReplaced", R"({"tolerations":[{"key":"a"}]})", R"({"tolerations":[{"key":"b"}]})",
             R"({"tolerations":[{"key":"b"}]})"},
        Case{"EnvFromIsReplaced", R"({"envFrom":[{"secretRef":{"name":"a"}}]})",
             R"({"envFrom":[{"secretRef":{"name":"b"}}]})", R"({"envFrom":[{"secretRef":{"name":"b"}}]})"},
        Case{"CapabilitiesAreReplaced", R"({"capabilities":{"drop":["ALL"],"add":["A"]}})",
             R"({"capabilities":{"add":["B"]}})", R"({"capabilities":{"drop":["ALL"],"add":["B"]}})"},
        Case{"AdaptersAreReplaced", R"({"lora":{"adapters":[{"name":"a"}],"maxRank":8}})",
             R"({"lora":{"adapters":[{"name":"b"}]}})",
             R"({"lora":{"adapters":[{"name":"b"}],"maxRank":8}})"},
        Case{"GatewaysAreReplaced", R"({"gateway":{"refs":[{"name":"a"}]}})",
             R"({"gateway":{"refs":[{"name":"b"}]}})", R"({"gateway":{"refs":[{"name":"b"}]}})"},
        Case{"TiersAreReplaced", R"({"secondary":[{"a":1},{"b":2}]})", R"({"secondary":[{"c":3}]})",
             R"({"secondary":[{"c":3}]})"},
        Case{"TargetPortsAreReplaced", R"({"targetPorts":[{"number":1},{"number":2}]})",
             R"({"targetPorts":[{"number":3}]})", R"({"targetPorts":[{"number":3}]})"},
        Case{"HostnamesKeepTheRules", R"({"http":{"spec":{"rules":[1],"hostnames":["a"]}}})",
             R"({"http":{"spec":{"hostnames":["b"]}}})",
             R"({"http":{"spec":{"rules":[1],"hostnames":["b"]}}})"},
        Case{"MapsMergeByKey", R"({"nodeSelector":{"a":"1","b":"2"}})", R"({"nodeSelector":{"b":"3"}})",
             R"({"nodeSelector":{"a":"1","b":"3"}})"},
        Case{"FalseOverridesInAPod", R"({"hostNetwork":true})", R"({"hostNetwork":false})",
             R"({"hostNetwork":false})", R"({"hostNetwork":true})"},
        Case{"AnEmptyTextOverrides", R"({"exporterEndpoint":"http://c"})", R"({"exporterEndpoint":""})",
             R"({"exporterEndpoint":""})"},
        Case{"NoContainersKeepTheBase", R"({"containers":[{"name":"main"}]})", R"({"containers":[]})",
             R"({"containers":[{"name":"main"}]})"},
        Case{"RequestsAndLimitsApart", R"({"resources":{"requests":{"cpu":"1"},"limits":{"cpu":"2"}}})",
             R"({"resources":{"requests":{"memory":"1Gi"}}})",
             R"({"resources":{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"2"}}})"}),
    [](const auto& param) { return std::string(param.param.name); });

// ---- Several layers, as presets, baseRefs and a service are.

struct Layers {
  const char* name;
  std::vector<const char*> layers;
  const char* result;
};

class MergeLayers : public testing::TestWithParam<Layers> {};

TEST_P(MergeLayers, LaterOnesWin) {
  json::Object merged;
  for (const char* layer : GetParam().layers) {
    merged = merge(merged, *json::parse_object(layer));
  }
  EXPECT_EQ(json::write(json::Value(merged)), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    Chains, MergeLayers,
    testing::Values(
        Layers{"None", {}, "{}"}, Layers{"One", {R"({"model":{"uri":"a"}})"}, R"({"model":{"uri":"a"}})"},
        Layers{"AFieldOfAField",
               {R"({"model":{"uri":"a","name":"n"}})", R"({"model":{"uri":"b"}})"},
               R"({"model":{"uri":"b","name":"n"}})"},
        Layers{"Three",
               {R"({"replicas":1,"parallelism":{"tensor":1}})", R"({"replicas":2})",
                R"({"parallelism":{"tensor":4}})"},
               R"({"replicas":2,"parallelism":{"tensor":4}})"},
        Layers{
            "RouterSchedulerAndGroups",
            {R"({"router":{"scheduler":{"template":{"containers":[{"name":"main","image":"a"}]}}}})",
             R"({"router":{"route":{}},"worker":{"containers":[{"name":"main"}]}})",
             R"({"router":{"gateway":{"refs":[{"name":"g"}]}},"parallelism":{"data":2,"dataLocal":1}})",
             R"({"router":{"scheduler":{"template":{"containers":[{"name":"main","image":"b"}]}}}})"},
            R"({"router":{"scheduler":{"template":{"containers":[{"name":"main","image":"b"}]}},"route":{},)"
            R"("gateway":{"refs":[{"name":"g"}]}},"worker":{"containers":[{"name":"main"}]},)"
            R"("parallelism":{"data":2,"dataLocal":1}})"},
        Layers{"BothHalves",
               {R"({"template":{"containers":[{"name":"main","args":["a"]}]},"prefill":{"replicas":1}})",
                R"({"prefill":{"parallelism":{"tensor":2},"template":{"containers":[{"name":"main"}]}}})"},
               R"({"template":{"containers":[{"name":"main","args":["a"]}]},"prefill":{"replicas":1,)"
               R"("parallelism":{"tensor":2},"template":{"containers":[{"name":"main"}]}}})"},
        Layers{"ASidecarThatOneLayerAddsAndTheNextRemoves",
               {R"({"containers":[{"name":"main"}]})", R"({"containers":[{"name":"side"}]})",
                R"({"containers":[{"name":"side","$patch":"delete"}]})"},
               R"({"containers":[{"name":"main"}]})"},
        Layers{"ReferencesToConfigsAreReplaced",
               {R"({"baseRefs":[{"name":"a"},{"name":"b"}]})", R"({"baseRefs":[{"name":"c"}]})"},
               R"({"baseRefs":[{"name":"c"}]})"},
        Layers{"AnIngressBesideARoute",
               {R"({"router":{"route":{}}})", R"({"router":{"ingress":{"refs":[{"name":"i"}]}}})"},
               R"({"router":{"route":{},"ingress":{"refs":[{"name":"i"}]}}})"},
        Layers{"AnEmptyOneInTheMiddle",
               {R"({"replicas":2})", "{}", R"({"parallelism":{"tensor":4}})"},
               R"({"replicas":2,"parallelism":{"tensor":4}})"},
        Layers{"WhatALayerDoesNotMentionStays",
               {R"({"prefill":{"replicas":2,"parallelism":{"tensor":2}}})", R"({"prefill":{}})"},
               R"({"prefill":{"replicas":2,"parallelism":{"tensor":2}}})"},
        Layers{"APoolsSelectorIsOverridden",
               {R"({"pool":{"spec":{"selector":{"matchLabels":{"a":"1"}}}}})",
                R"({"pool":{"spec":{"selector":{"matchLabels":{"a":"2"}}}}})"},
               R"({"pool":{"spec":{"selector":{"matchLabels":{"a":"2"}}}}})"},
        Layers{"APoolsSelectorGrows",
               {R"({"pool":{"spec":{"selector":{"matchLabels":{"a":"1"}}}}})",
                R"({"pool":{"spec":{"selector":{"matchLabels":{"b":"2"}}}}})"},
               R"({"pool":{"spec":{"selector":{"matchLabels":{"a":"1","b":"2"}}}}})"}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace llmd::llmisvc
