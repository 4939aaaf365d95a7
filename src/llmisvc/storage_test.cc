#include "llmisvc/storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

using testing::ElementsAre;

json::Value pod_with(std::string_view model, Platform platform = Platform::Cluster,
                     std::string_view more = "") {
  const auto manifest = parse_manifest(
      fmt::format(
          "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {{name: a}}\nspec:\n"
          "  model: {}\n{}",
          model, more),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  const Compiled compiled = compile(manifest->services.front().value.get_object(), {.platform = platform});
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  return *json::find(json::Value(compiled.objects.front()), "spec.template.spec");
}

std::vector<std::string> names(const json::Value& pod, std::string_view list) {
  std::vector<std::string> result;
  const auto* items = json::array_at(pod, list);
  for (const json::Value& item : items != nullptr ? *items : json::Array()) {
    result.emplace_back(*json::string_at(item, "name"));
  }
  return result;
}

std::string mount_at(const json::Value& pod, std::string_view path) {
  for (const json::Value& mount : *json::array_at(pod, "containers[0].volumeMounts")) {
    if (json::string_at(mount, "mountPath") == path) {
      return json::write(mount);
    }
  }
  return "none";
}

TEST(Storage, DownloadsGoThroughTheInitContainer) {
  for (const char* uri :
       {"hf://a/b", "s3://bucket/x", "gs://bucket/x", "https://h/x.gguf", "pypi://p/m.gguf"}) {
    const auto pod = pod_with(fmt::format("{{uri: \"{}\"}}", uri));
    EXPECT_EQ(json::string_at(pod, "initContainers[0].name"), "storage-initializer") << uri;
    EXPECT_EQ(json::string_at(pod, "initContainers[0].args[0]"), uri);
    EXPECT_EQ(mount_at(pod, "/mnt/models"),
              R"({"name":"kserve-provision-location","mountPath":"/mnt/models","readOnly":true})");
  }
}

TEST(Storage, AClaimIsMountedWithoutACopy) {
  const auto pod = pod_with("{uri: pvc://models/qwen/v2}");
  EXPECT_EQ(json::array_at(pod, "initContainers"), nullptr);
  EXPECT_EQ(mount_at(pod, "/mnt/models"),
            R"({"name":"kserve-pvc-source","mountPath":"/mnt/models","readOnly":true,"subPath":"qwen/v2"})");
}

TEST(Storage, AFileIsFetchedOnOneMachineAndMountedOnACluster) {
  EXPECT_THAT(names(pod_with("{uri: file:///models/x}", Platform::Local), "initContainers"),
              ElementsAre("storage-initializer"));
  const auto pod = pod_with("{uri: file:///models/x}");
  EXPECT_EQ(json::array_at(pod, "initContainers"), nullptr);
  EXPECT_EQ(mount_at(pod, "/mnt/models"),
            R"({"name":"kserve-file-source","mountPath":"/mnt/models","readOnly":true})");
}

TEST(Storage, AnImageRunsBesideTheServerOrIsMounted) {
  EXPECT_THAT(names(pod_with("{uri: oci://r/m}"), "containers"), ElementsAre("main", "modelcar"));
  EXPECT_EQ(mount_at(pod_with("{uri: oci+native://r/m}"), "/mnt/models"),
            R"({"name":"kserve-oci-source","mountPath":"/mnt/models","readOnly":true,"subPath":"models"})");
}

TEST(Storage, AUsersInitializerKeepsItsResourcesButNotItsTask) {
  const auto pod =
      pod_with("{uri: hf://a/b}", Platform::Cluster,
               "  template:\n    containers: [{name: main}]\n    initContainers:\n    - {name: "
               "storage-initializer, args: [x], command: [run], resources: {limits: {memory: 64Gi}}}\n");
  EXPECT_EQ(json::string_at(pod, "initContainers[0].args[0]"), "hf://a/b");
  EXPECT_EQ(json::find(pod, "initContainers[0].command"), nullptr);
  EXPECT_EQ(json::string_at(pod, "initContainers[0].resources.limits.memory"), "64Gi");
}

TEST(Storage, SwitchedOffItMountsNothing) {
  const auto pod = pod_with("{uri: hf://a/b}", Platform::Cluster, "  storageInitializer: {enabled: false}\n");
  EXPECT_EQ(json::array_at(pod, "initContainers"), nullptr);
  EXPECT_EQ(mount_at(pod, "/mnt/models"), "none");
  EXPECT_EQ(json::string_at(pod, "containers[0].command[2]"), "hf://a/b");
}

// Pods of a rendered service that serve the model, by workload and part.
std::vector<json::Value> serving_pods(const Compiled& compiled) {
  std::vector<json::Value> pods;
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    if (json::string_at(value, "metadata.name").value_or("").ends_with("-router-scheduler")) {
      continue;
    }
    for (const char* path : {"spec.template.spec", "spec.leaderWorkerTemplate.leaderTemplate.spec",
                             "spec.leaderWorkerTemplate.workerTemplate.spec"}) {
      if (const json::Value* pod = json::find(value, path); pod != nullptr && pod->is_object()) {
        pods.push_back(*pod);
      }
    }
  }
  return pods;
}

struct Mode {
  const char* name;
  const char* spec;
  std::size_t pods;
};

class EveryMode : public testing::TestWithParam<Mode> {};

TEST_P(EveryMode, BringsTheModelIntoEveryPodFromEveryScheme) {
  for (const char* uri : {"hf://o/m", "s3://bucket/m", "gs://bucket/m", "https://host/m.gguf",
                          "http://host/m.gguf", "pypi://project/m.gguf", "file:///srv/m", "pvc://claim/m",
                          "oci://registry/m:1", "oci+native://registry/m:1"}) {
    const auto manifest = parse_manifest(
        fmt::format(
            "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: a}}\n"
            "spec: {{model: {{uri: \"{}\"}}, {}}}\n",
            uri, GetParam().spec),
        "test.yaml");
    ASSERT_TRUE(manifest) << manifest.error().text();
    const Compiled compiled = compile(manifest->services.front().value.get_object(), {});
    ASSERT_FALSE(has_errors(compiled.findings)) << uri << ": " << error_of(compiled.findings).text();
    const auto pods = serving_pods(compiled);
    EXPECT_EQ(pods.size(), GetParam().pods);
    for (const json::Value& pod : pods) {
      // A model car brings its files by a link under /mnt.
      EXPECT_TRUE(mount_at(pod, "/mnt/models") != "none" || mount_at(pod, "/mnt") != "none") << uri;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Modes, EveryMode,
    testing::Values(Mode{"Single", "replicas: 1", 1}, Mode{"Split", "prefill: {}", 2},
                    Mode{"Groups", "parallelism: {data: 2, dataLocal: 1}, worker: {containers: []}", 2},
                    Mode{"Stages", "parallelism: {pipeline: 2}, worker: {containers: []}", 2},
                    Mode{"SplitGroups",
                         "parallelism: {data: 2, dataLocal: 1}, worker: {containers: []}, "
                         "prefill: {parallelism: {pipeline: 2}, worker: {containers: []}}",
                         4}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(Storage, AClustersFolderIsAbsolute) {
  const auto manifest = parse_manifest(
      "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: a}\n"
      "spec: {model: {uri: \"file://models/m\"}}\n",
      "test.yaml");
  const Compiled compiled = compile(manifest->services.front().value.get_object(), {});
  ASSERT_TRUE(has_errors(compiled.findings));
  EXPECT_THAT(error_of(compiled.findings).text(), testing::HasSubstr("file:///"));
}

TEST(Storage, AModelInKServesLocalCacheIsReadFromItsClaim) {
  const auto manifest = parse_manifest(R"(apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata:
  name: a
  labels: {internal.serving.kserve.io/localmodel: cached}
  annotations:
    internal.serving.kserve.io/localmodel-sourceuri: s3://bucket/m
    internal.serving.kserve.io/localmodel-pvc-name: cached-gpu
spec: {model: {uri: "s3://bucket/m/sub"}}
)",
                                       "test.yaml");
  const Compiled compiled = compile(manifest->services.front().value.get_object(), {});
  ASSERT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  const json::Value pod = *json::find(json::Value(compiled.objects.front()), "spec.template.spec");
  EXPECT_EQ(json::array_at(pod, "initContainers"), nullptr);
  EXPECT_THAT(mount_at(pod, "/mnt/models"), testing::HasSubstr(R"("subPath":"models/)"));
  EXPECT_THAT(mount_at(pod, "/mnt/models"), testing::HasSubstr("/sub\""));
}

TEST(Storage, AdapterFoldersAreSafeNames) {
  EXPECT_EQ(adapter_folder("sql"), "/mnt/lora/sql");
  EXPECT_EQ(adapter_folder("a/b c"), "/mnt/lora/a-b-c");
  EXPECT_EQ(adapter_folder(".."), "/mnt/lora/adapter");
}

}  // namespace
}  // namespace llmd::llmisvc
