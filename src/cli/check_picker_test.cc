// `llmd check` of what a service gives its picker: as an object, as a text, in a ConfigMap, and in files of
// their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing_program.h"
#include "json/path.h"

namespace llmd::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CheckPicker : public InFolder {
 protected:
  static Ran check(std::vector<std::string> words) {
    words.insert(words.begin(), "check");
    return run(std::move(words));
  }
};

// A service whose scheduler has this configuration, indented as the manifest needs it.
std::string service(std::string_view inline_config, std::string_view kind = "LLMInferenceService") {
  return fmt::format(R"(apiVersion: serving.kserve.io/v1alpha1
kind: {}
metadata:
  name: chat
spec:
  model:
    uri: hf://a/b
  router:
    scheduler:
      config:
        inline:{}
)",
                     kind, inline_config);
}

constexpr std::string_view kWrong = R"(
          apiVersion: llm-d.ai/v1alpha1
          kind: EndpointPickerConfig
          plugins:
          - type: queu-scorer
          - type: load-aware-scorer
            parameters:
              treshold: 3
          requestHandler:
            parsers:
            - pluginRef: mine)";

TEST_F(CheckPicker, MistakesOfAnInlineConfigurationStandAtTheirPlaceInTheManifest) {
  for (const char* kind : {"LLMInferenceService", "LLMInferenceServiceConfig"}) {
    const auto file = write("a.yaml", service(kWrong, kind));
    const auto ran = check({file});
    EXPECT_EQ(ran.code, 1) << kind;
    const std::string at = "spec.router.scheduler.config.inline.";
    EXPECT_THAT(ran.out,
                HasSubstr(file + ":15:13: error: " + at + "plugins[0].type: unregistered plugin type"));
    EXPECT_THAT(ran.out, HasSubstr("did you mean 'queue-scorer'?"));
    EXPECT_THAT(ran.out,
                HasSubstr(file + ":18:15: error: " + at + "plugins[1].parameters.treshold: unknown"));
    EXPECT_THAT(ran.out, HasSubstr("did you mean 'threshold'?"));
    EXPECT_THAT(ran.out,
                HasSubstr(at + "requestHandler.parsers[0].pluginRef: the plugin 'mine' is not defined"));
  }
}

TEST_F(CheckPicker, TheSecondServiceOfAFileHasPlacesOfItsOwn) {
  const std::string fine = service("\n          plugins: [{type: queue-scorer}]");
  const auto ran = check({write("a.yaml", fine + "---\n" + service(kWrong))});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("a.yaml:28:13: error: spec.router.scheduler.config.inline.plugins[0].type"));
}

TEST_F(CheckPicker, WhatLoadsIsNotObjectedTo) {
  for (const char* config : {"\n          plugins: [{type: queue-scorer}]",
                             "\n          apiVersion: inference.networking.x-k8s.io/v1alpha1\n"
                             "          kind: EndpointPickerConfig\n          plugins:\n"
                             "          - type: queue-scorer",
                             " {plugins: [{type: session-affinity-filter}, {type: random-picker}]}"}) {
    const auto ran = check({write("a.yaml", service(config))});
    EXPECT_EQ(ran.code, 0) << config << ran.out;
    EXPECT_THAT(ran.out, Not(HasSubstr("[picker-config]")));
  }
}

TEST_F(CheckPicker, WhatOnlyWarnsIsAWarning) {
  const auto ran = check({write("a.yaml", service("\n          plugins: [{type: queue-scorer}]\n"
                                                  "          flowControl: {maxRequests: 3}"))});
  EXPECT_EQ(ran.code, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("a.yaml:13:11: warning: flowControl has no effect"));
}

TEST_F(CheckPicker, ATextIsReadAsADocumentOfItsOwn) {
  const auto ran = check({write("a.yaml", service(" |\n          plugins:\n          - type: queu-scorer"))});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("a.yaml:13:13: error: spec.router.scheduler.config.inline:2:3: "
                                       "plugins[0].type: unregistered plugin type 'queu-scorer'"),
                             HasSubstr("did you mean 'queue-scorer'?")));
}

TEST_F(CheckPicker, ATextWhoseLinesAreNotThoseOfTheFileIsPlacedAtItsKey) {
  for (const char* text :
       {R"( "plugins: [{type: queu-scorer}]")", " >\n          plugins:\n\n          - type: queu-scorer"}) {
    const auto ran = check({write("a.yaml", service(text))});
    EXPECT_EQ(ran.code, 1) << text;
    EXPECT_THAT(ran.out, HasSubstr("a.yaml:11:9: error: spec.router.scheduler.config.inline:")) << text;
  }
}

// A service whose scheduler's configuration stands elsewhere.
std::string service_with_reference(std::string_view reference) {
  return fmt::format(
      "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\n"
      "metadata: {{name: chat}}\nspec:\n  model: {{uri: hf://a/b}}\n"
      "  router: {{route: {{}}, scheduler: {{config: {{ref: {}}}}}}}\n",
      reference);
}

constexpr std::string_view kMap = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: picking}
data:
  epp: |
    plugins:
    - type: queue-scorer
    - type: load-aware-scorer
      parameters: {treshold: 3}
  other.yaml: |
    plugins:
    - type: queu-scorer
)";

TEST_F(CheckPicker, AConfigMapThatAServiceNamesIsReadLikeAnInlineConfiguration) {
  const auto map = write("map.yaml", std::string("# ours\n---\n") + std::string(kMap));
  const auto ran = check({write("a.yaml", service_with_reference("{name: picking}")), map});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr(map + ":11:20: error: ConfigMap default/picking: data.epp:4:16: "
                                       "plugins[1].parameters.treshold: unknown"));
  EXPECT_THAT(ran.out, HasSubstr("did you mean 'threshold'?"));
  EXPECT_THAT(ran.out, Not(HasSubstr("queu-scorer"))) << "nobody names that key";
}

TEST_F(CheckPicker, TheKeyOfAReferenceChoosesTheText) {
  const auto map = write("map.yaml", kMap);
  const auto ran = check({map, write("a.yaml", service_with_reference("{name: picking, key: other.yaml}"))});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr(map + ":12:7: error: ConfigMap default/picking: data[other.yaml]:2:3: "
                                       "plugins[0].type: unregistered plugin type 'queu-scorer'"));
  EXPECT_THAT(ran.out, Not(HasSubstr("treshold")));
}

TEST_F(CheckPicker, AConfigMapThatTwoServicesNameIsWrongOnce) {
  std::string second = service_with_reference("{name: picking}");
  second.replace(second.find("chat"), 4, "talk");
  const auto ran = check({write("a.yaml", service_with_reference("{name: picking}")), write("b.yaml", second),
                          write("map.yaml", kMap)});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out.find("treshold"), ran.out.rfind("treshold")) << ran.out;
}

TEST_F(CheckPicker, AConfigOfServicesNamesAConfigMapToo) {
  std::string config = service_with_reference("{name: picking}");
  config.replace(config.find("Service\n"), 8, "ServiceConfig\n");
  const auto ran = check({write("a.yaml", config + "---\n" + std::string(kMap))});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("a.yaml:16:20: error: ConfigMap default/picking: data.epp:4:16: "));
}

TEST_F(CheckPicker, AConfigMapOfAnotherNamespaceIsAnother) {
  std::string map(kMap);
  map.replace(map.find("name: picking"), 13, "name: picking, namespace: other");
  const auto ran =
      check({write("a.yaml", service_with_reference("{name: picking}")), write("map.yaml", map)});
  EXPECT_EQ(ran.code, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("note: "));
}

TEST_F(CheckPicker, AConfigMapThatIsNotAmongTheFilesIsANote) {
  const auto ran = check({write("a.yaml", service_with_reference("{name: picking, key: k}"))});
  EXPECT_EQ(ran.code, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("a.yaml:6:50: note: spec.router.scheduler.config.ref.name: ConfigMap "
                                 "'picking' of namespace 'default' is not among the files"));
}

TEST_F(CheckPicker, AConfigMapOfTheClusterIsReadFromTheFolderOfFacts) {
  std::filesystem::create_directory(folder_ / "facts");
  write("facts/map.yaml", kMap);
  const auto service = write("a.yaml", service_with_reference("{name: picking}"));
  const auto ran = check({service, "--facts", (folder_ / "facts").string()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out,
              HasSubstr(service + ":6:44: error: ConfigMap default/picking: data.epp:4:16: plugins[1]"));
}

TEST_F(CheckPicker, JsonSaysPlaceAndSentence) {
  const auto ran = check({"-o", "json", write("a.yaml", service(kWrong))});
  const auto findings = json::parse(ran.out).value();
  bool found = false;
  for (const json::Value& each : findings.as_array()) {
    if (json::string_at(each, "code") == "picker-config" && json::int_at(each, "line") == 15) {
      EXPECT_EQ(json::int_at(each, "column"), 13);
      EXPECT_THAT(std::string(json::string_at(each, "sentence").value_or("")), HasSubstr("queu-scorer"));
      found = true;
    }
  }
  EXPECT_TRUE(found) << ran.out;
}

TEST_F(CheckPicker, EverySampleOfAConfigurationPasses) {
  const auto ran = check({std::string(LLMD_SOURCE_DIR) + "/src/picker/config/testdata"});
  EXPECT_EQ(ran.code, 0) << ran.out;
}

}  // namespace
}  // namespace llmd::cli
