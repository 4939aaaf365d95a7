// Whole outputs against files. LLMD_UPDATE_GOLDEN=1 rewrites them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "llmisvc/check.h"
#include "llmisvc/compile.h"
#include "llmisvc/convert_values.h"
#include "llmisvc/crd.h"
#include "llmisvc/dialect.h"
#include "llmisvc/explain.h"
#include "llmisvc/finding_codes.h"
#include "llmisvc/plan.h"
#include "llmisvc/tree.h"

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

std::vector<std::string> all_inputs() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kData + "inputs")) {
    names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string text_of(const std::string& input) {
  return *read_file(kData + "inputs/" + input + ".yaml");
}

// With the config that one of the guides refers to without showing it.
Facts facts_of(const Manifest& manifest) {
  Facts facts = with_configs({}, manifest);
  facts.configs["default/common-config"] = {.object = *json::parse_object(R"({"spec": {}})")};
  return facts;
}

std::string test_name(const testing::TestParamInfo<std::string>& param) {
  std::string name = "Input_" + param.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

class Golden : public testing::TestWithParam<std::string> {};

// Services that are refused have no objects; golden/findings.txt says why.
TEST_P(Golden, RendersTheRecordedObjects) {
  const auto manifest = parse_manifest(text_of(GetParam()), GetParam());
  std::vector<json::Object> objects;
  for (const json::YamlDocument& document :
       manifest ? manifest->services : std::vector<json::YamlDocument>()) {
    Compiled compiled = compile(document.value.get_object(), facts_of(*manifest));
    std::ranges::move(compiled.objects, std::back_inserter(objects));
  }
  const std::string path = kData + "golden/" + GetParam() + ".yaml";
  if (objects.empty()) {
    EXPECT_FALSE(std::filesystem::exists(path)) << GetParam() << " was rendered before";
    return;
  }
  expect_file(path, objects_as_yaml(objects));
}

// The guides' documents; of our own variants those that show a mechanism of their own.
std::vector<std::string> rendered_inputs() {
  std::vector<std::string> names = all_inputs();
  std::erase_if(names, [](const std::string& name) { return name.starts_with("v-"); });
  for (const char* variant :
       {"v-multi-node-dp", "v-pipeline-multi-node", "v-lora", "v-oci", "v-pvc", "v-gateway-refs"}) {
    names.emplace_back(variant);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Inputs, Golden, testing::ValuesIn(rendered_inputs()), test_name);

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

// One file says at a glance which of the users' documents pass, and what is said about the others.
TEST(GoldenDocuments, EachPassesTheCheckOrFailsForItsReason) {
  std::string page;
  for (const std::string& input : all_inputs()) {
    page += "# " + input + "\n";
    for (const Finding& finding : check_manifest(text_of(input), input + ".yaml")) {
      page += render_finding(finding) + "\n";
    }
  }
  expect_file(kData + "golden/findings.txt", page);
}

TEST(GoldenDocuments, EachIsDrawn) {
  std::string page;
  for (const std::string& input : all_inputs()) {
    const auto manifest = parse_manifest(text_of(input), input);
    for (const json::YamlDocument& document :
         manifest ? manifest->services : std::vector<json::YamlDocument>()) {
      const auto compiled = compile(document.value.get_object(), with_configs({}, *manifest));
      if (!compiled.objects.empty()) {
        page += "# " + input + "\n" + objects_as_tree(compiled);
      }
    }
  }
  expect_file(kData + "golden/trees.txt", page);
}

// As the guide writes them, every service comes up, but for what the cluster lacks.
TEST(GoldenDocuments, EveryServiceOfTheGuidesRenders) {
  int services = 0;
  for (const std::string& input : all_inputs()) {
    const auto manifest = parse_manifest(text_of(input), input);
    for (const json::YamlDocument& document :
         manifest && !input.starts_with("v-") ? manifest->services : std::vector<json::YamlDocument>()) {
      if (document.value.get_object().contains("spec") && !is_server_dialect(document.value.get_object())) {
        const auto compiled = compile(document.value.get_object(), facts_of(*manifest));
        EXPECT_FALSE(has_errors(compiled.findings)) << input << ": " << error_of(compiled.findings).text();
        EXPECT_FALSE(compiled.objects.empty()) << input;
        ++services;
      }
    }
  }
  EXPECT_EQ(services, 23);
}

class GoldenValues : public testing::TestWithParam<std::string> {};

TEST_P(GoldenValues, BecomeAService) {
  const auto documents = json::parse_yaml(text_of(GetParam()), GetParam() + ".yaml");
  ASSERT_TRUE(documents);
  const auto converted = convert_values(documents->front());
  std::string text = objects_as_yaml(converted.objects);
  for (const Finding& finding : converted.findings) {
    text += "# " + render_finding(finding) + "\n";
  }
  expect_file(kData + "golden/" + GetParam() + "-converted.yaml", text);
  for (const json::Object& object : converted.objects) {
    const auto compiled = compile(object, {});
    EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
    EXPECT_FALSE(compiled.objects.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, GoldenValues, testing::Values("004-02", "004-03", "004-04"), test_name);

TEST(GoldenExplain, SaysWhoSetEachField) {
  const auto manifest = parse_manifest(text_of("001-06"), "001-06.yaml");
  const Facts facts = with_configs({}, *manifest);
  std::string page;
  for (const FieldOrigin& origin : explain(compose(manifest->services.front().value.get_object(), facts))) {
    page += fmt::format("{} = {}  [{}]", origin.path, json::write(origin.value), origin.layer);
    for (const std::string& below : origin.overridden) {
      page += " over " + below;
    }
    page += "\n";
  }
  expect_file(kData + "golden/001-06-explained.txt", page);
}

TEST(GoldenFindings, ThePageListsEveryCode) {
  expect_file(kSource + "/docs/reference/findings.md", finding_codes_page());
}

}  // namespace
}  // namespace llmd::llmisvc
