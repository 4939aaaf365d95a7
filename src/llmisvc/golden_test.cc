// Whole outputs against files. LLMD_UPDATE_GOLDEN=1 rewrites them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "llmisvc/compile.h"
#include "llmisvc/crd.h"
#include "llmisvc/plan.h"

namespace llmd::llmisvc {
namespace {

const std::string kSource = LLMD_SOURCE_DIR;
const std::string kData = kSource + "/src/llmisvc/testdata/";

void expect_file(const std::string& path, const std::string& content) {
  if (std::getenv("LLMD_UPDATE_GOLDEN") != nullptr) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    ASSERT_TRUE(write_file_atomically(path, content));
    return;
  }
  const auto recorded = read_file(path);
  ASSERT_TRUE(recorded) << recorded.error().text();
  EXPECT_EQ(content, *recorded) << "LLMD_UPDATE_GOLDEN=1 rewrites " << path;
}

Compiled compile_file(const std::string& path, const Facts& facts) {
  const auto text = read_file(path);
  EXPECT_TRUE(text) << path;
  const auto manifest = parse_manifest(*text, path);
  EXPECT_TRUE(manifest) << manifest.error().text();
  Compiled compiled = compile(manifest->services.front().value.get_object(), with_configs(facts, *manifest));
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  return compiled;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, RendersTheRecordedObjects) {
  const Compiled compiled = compile_file(kData + "inputs/" + GetParam() + ".yaml", {});
  expect_file(kData + "golden/" + GetParam() + ".yaml", objects_as_yaml(compiled.objects));
}

INSTANTIATE_TEST_SUITE_P(Inputs, Golden,
                         testing::Values("000-08", "000-10", "v-multi-node-dp", "v-pipeline-multi-node",
                                         "v-lora", "v-oci", "v-pvc", "v-gateway-refs"),
                         [](const auto& param) {
                           std::string name = "Input_" + param.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(GoldenLocal, TheQuickstartOnOneMachine) {
  const Compiled compiled = compile_file(kSource + "/examples/quickstart.yaml", local_facts());
  expect_file(kData + "golden/quickstart-local.yaml", objects_as_yaml(compiled.objects));
}

TEST(GoldenCrd, TheFilesUnderConfigAreGenerated) {
  for (const json::Object& crd : crds()) {
    const std::string name(crd.at("metadata").at("name").as_string().c_str());
    expect_file(kSource + "/config/crd/" + name + ".yaml", objects_as_yaml({crd}));
  }
}

struct Count {
  const char* input;
  long long pods;
  long long accelerators;
};

class PlanCount : public testing::TestWithParam<Count> {};

// The numbers of the users' guide.
TEST_P(PlanCount, IsTheGuides) {
  const Plan plan = plan_of(compile_file(kData + "inputs/" + GetParam().input + ".yaml", {}));
  EXPECT_EQ(plan.pods(), GetParam().pods);
  EXPECT_EQ(plan.accelerators(), GetParam().accelerators);
}

INSTANTIATE_TEST_SUITE_P(Guide, PlanCount,
                         testing::Values(Count{"000-01", 1, 1}, Count{"000-02", 3, 3},
                                         Count{"000-08", 11, 32}, Count{"000-09", 2, 16},
                                         Count{"000-10", 4, 32}, Count{"001-09", 19, 32},
                                         Count{"001-21", 11, 32}, Count{"001-22", 8, 64},
                                         Count{"v-pipeline-multi-node", 4, 32}));

TEST(Tree, ShowsObjectsPodsAndContainers) {
  const std::string tree = objects_as_tree(compile_file(kData + "inputs/000-10.yaml", {}));
  EXPECT_THAT(tree, testing::HasSubstr("LLMInferenceService default/llama-405b: 4 pods, 32 GPUs"));
  EXPECT_THAT(tree, testing::HasSubstr("├─ LeaderWorkerSet llama-405b-kserve-mn\n"
                                       "   pods 4 (serving), 8 GPUs each, 32 in all\n"
                                       "   init storage-initializer\n   run  main\n"));
}

}  // namespace
}  // namespace llmd::llmisvc
