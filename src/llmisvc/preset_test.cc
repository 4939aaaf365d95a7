// The well-known configs: every file is one, which version a service is held to, and what encryption changes.
#include "llmisvc/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "json/path.h"
#include "llmisvc/compile.h"
#include "llmisvc/preset_files.h"

namespace llmd::llmisvc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

json::Object service_with(std::string_view spec, std::string_view pins = "") {
  const auto manifest = parse_manifest(
      fmt::format(
          "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: a, "
          "namespace: team}}\nspec: {{model: {{uri: \"hf://o/m\"}}{}{}}}\nstatus: {{annotations: {{{}}}}}\n",
          spec.empty() ? "" : ", ", spec, pins),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  return manifest->services.front().value.get_object();
}

// A cluster with the config `name` in the system namespace that sets an annotation on pods.
Facts with_preset(Facts facts, const std::string& name, std::string_view note) {
  const auto manifest = parse_manifest(
      fmt::format(
          "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceServiceConfig\nmetadata: {{name: {}, "
          "namespace: kserve}}\nspec: {{annotations: {{note: {}}}, template: {{containers: [{{name: main, "
          "image: 'vllm/vllm-openai:v0.12.0'}}]}}}}\n",
          name, note),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  return with_configs(std::move(facts), *manifest);
}

std::string text_at(const json::Value& value, std::string_view path) {
  return std::string(json::string_at(value, path).value_or("absent"));
}

std::string note_of(const Compiled& compiled) {
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  return compiled.objects.empty()
             ? "no objects"
             : text_at(json::Value(compiled.objects.front()), "spec.template.metadata.annotations.note");
}

std::vector<std::string> applied_names(const Compiled& compiled) {
  std::vector<std::string> names;
  for (const AppliedConfig& config : compiled.applied) {
    names.push_back(config.name);
  }
  return names;
}

// ---- Pins.

constexpr std::string_view kTemplatePin = "serving.kserve.io/config-llm-template";

TEST(PresetPins, TheFirstPassPinsEveryPresetButTheRoutes) {
  std::set<std::string> pinned;
  for (const auto& pin : with_pins(service_with(""), {})) {
    pinned.insert(std::string(pin.key()) + "=" + std::string(pin.value().get_string()));
  }
  EXPECT_EQ(pinned.size(), preset_files().size() - 1);
  EXPECT_THAT(pinned, Contains("serving.kserve.io/config-llm-template=kserve-config-llm-template"));
  EXPECT_THAT(pinned, Contains("serving.kserve.io/config-llm-scheduler=kserve-config-llm-scheduler"));
  EXPECT_THAT(pinned, Not(Contains(HasSubstr("router-route"))));
}

TEST(PresetPins, ASecondPassChangesNothing) {
  json::Object service = service_with("");
  json::Object first = with_pins(service, {});
  service["status"] = json::Object{{"annotations", first}};
  EXPECT_EQ(with_pins(service, {}), first);
}

TEST(PresetPins, ThoseOfAnOlderPrefixAndOtherAnnotationsStay) {
  const auto pins =
      with_pins(service_with("", fmt::format("{}: old-config-llm-template, note: x", kTemplatePin)),
                {.config_prefix = "new-"});
  EXPECT_EQ(pins.at(kTemplatePin), "old-config-llm-template");
  EXPECT_EQ(pins.at("serving.kserve.io/config-llm-scheduler"), "new-config-llm-scheduler");
  EXPECT_EQ(pins.at("note"), "x");
}

TEST(PresetPins, SwitchedOffNothingIsAdded) {
  EXPECT_THAT(with_pins(service_with(""), {.pins_presets = false}), IsEmpty());
}

TEST(PresetPins, AnUpgradedOperatorGoesOnWithThePresetOfTheRunningPods) {
  Facts facts{.config_prefix = "new-"};
  facts = with_preset(std::move(facts), "old-config-llm-template", "old");
  facts = with_preset(std::move(facts), "new-config-llm-template", "new");
  EXPECT_EQ(note_of(compile(service_with(""), facts)), "new");
  const auto pinned = service_with("", fmt::format("{}: old-config-llm-template", kTemplatePin));
  EXPECT_EQ(note_of(compile(pinned, facts)), "old");
}

TEST(PresetPins, APresetThatIsGoneIsAnErrorThatSaysWhatToDo) {
  const auto compiled =
      compile(service_with("", fmt::format("{}: gone-config-llm-template", kTemplatePin)), {});
  ASSERT_TRUE(has_errors(compiled.findings));
  EXPECT_EQ(compiled.findings.front().code, "config-not-found");
  EXPECT_THAT(compiled.findings.front().sentence, HasSubstr("first rendered with it"));
  EXPECT_THAT(compiled.findings.front().fix, HasSubstr("to go on with kserve-config-llm-template"));
}

TEST(PresetPins, RoutesFollowTheNewestPreset) {
  const auto service = service_with(
      "router: {route: {}}", "serving.kserve.io/config-llm-router-route: gone-config-llm-router-route");
  EXPECT_THAT(applied_names(compile(service, {})), Contains("kserve-config-llm-router-route"));
}

// ---- Every file.

struct Topology {
  const char* preset;
  const char* spec;
};

class EveryPreset : public testing::TestWithParam<Topology> {};

TEST_P(EveryPreset, IsAppliedAndRendersWithoutAFinding) {
  const auto compiled = compile(service_with(GetParam().spec), {});
  EXPECT_THAT(compiled.findings, IsEmpty()) << error_of(compiled.findings).text();
  EXPECT_THAT(applied_names(compiled), Contains(std::string("kserve-") + GetParam().preset));
}

const std::vector<Topology>& topologies() {
  static const std::vector<Topology> kAll{
      {"config-llm-template", ""},
      {"config-llm-scheduler", "router: {route: {}, gateway: {}, scheduler: {}}"},
      {"config-llm-router-route", "router: {route: {}, gateway: {}}"},
      {"config-llm-tracing", "tracing: {}"},
      {"config-llm-worker-data-parallel", "worker: {}, parallelism: {data: 4, dataLocal: 2}"},
      {"config-llm-worker-pipeline-parallel", "worker: {}, parallelism: {pipeline: 2, tensor: 2}"},
      {"config-llm-decode-template", "prefill: {}"},
      {"config-llm-prefill-template", "prefill: {}"},
      {"config-llm-decode-worker-data-parallel",
       "prefill: {}, worker: {}, parallelism: {data: 4, dataLocal: 2}"},
      {"config-llm-decode-worker-pipeline-parallel",
       "prefill: {}, worker: {}, parallelism: {pipeline: 2, tensor: 2}"},
      {"config-llm-prefill-worker-data-parallel",
       "prefill: {worker: {}, parallelism: {data: 4, dataLocal: 2}}"},
      {"config-llm-prefill-worker-pipeline-parallel",
       "prefill: {worker: {}, parallelism: {pipeline: 2, tensor: 2}}"}};
  return kAll;
}

INSTANTIATE_TEST_SUITE_P(Files, EveryPreset, testing::ValuesIn(topologies()), [](const auto& param) {
  std::string name = param.param.preset;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(EveryPreset, HasARow) {
  std::set<std::string_view> rows;
  for (const Topology& topology : topologies()) {
    rows.insert(topology.preset);
  }
  for (const PresetFile& file : preset_files()) {
    EXPECT_TRUE(rows.contains(file.name)) << file.name;
  }
}

// ---- Command lines.

std::vector<std::string> line_of(const Compiled& compiled, std::string_view kind_and_name,
                                 const std::string& container) {
  std::vector<std::string> words;
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    if (text_at(value, "kind") + "/" + text_at(value, "metadata.name") != kind_and_name) {
      continue;
    }
    for (const char* list : {"command", "args"}) {
      const std::string path = "spec.template.spec." + container + "." + list;
      const auto* found = json::array_at(value, path);
      for (const json::Value& word : found != nullptr ? *found : json::Array()) {
        words.emplace_back(word.get_string().c_str());
      }
    }
  }
  EXPECT_THAT(words, Not(IsEmpty())) << kind_and_name;
  return words;
}

constexpr const char* kMain = "containers[0]";
constexpr const char* kSidecar = "initContainers[1]";  // after the download

TEST(PresetTensor, IsAFlagOfEachHalfAndAbsentWhereNothingIsSaid) {
  const auto split =
      compile(service_with("parallelism: {tensor: 4}, prefill: {parallelism: {tensor: 2}}"), {});
  EXPECT_THAT(line_of(split, "Deployment/a-kserve", kMain), IsSupersetOf({"--tensor-parallel-size", "4"}));
  EXPECT_THAT(line_of(split, "Deployment/a-kserve-prefill", kMain),
              IsSupersetOf({"--tensor-parallel-size", "2"}));
  EXPECT_THAT(line_of(compile(service_with("parallelism: {tensor: 8}"), {}), "Deployment/a-kserve", kMain),
              IsSupersetOf({"--tensor-parallel-size", "8"}));
  const auto plain = compile(service_with("prefill: {}"), {});
  for (const char* name : {"Deployment/a-kserve", "Deployment/a-kserve-prefill"}) {
    EXPECT_THAT(line_of(plain, name, kMain), Not(Contains("--tensor-parallel-size"))) << name;
  }
}

constexpr const char* kSplit = "prefill: {}, router: {route: {}, gateway: {}, scheduler: {}}";

TEST(PresetEncryption, IsInEveryCommandLineWhereTheClusterAsksForIt) {
  const auto compiled = compile(service_with(kSplit), {.tls = true});
  for (const char* name : {"Deployment/a-kserve", "Deployment/a-kserve-prefill"}) {
    EXPECT_THAT(line_of(compiled, name, kMain),
                IsSupersetOf({"--ssl-certfile", "/var/run/kserve/tls/tls.crt", "--ssl-keyfile",
                              "/var/run/kserve/tls/tls.key", "--enable-ssl-refresh"}))
        << name;
  }
  EXPECT_THAT(line_of(compiled, "Deployment/a-kserve-router-scheduler", kMain),
              IsSupersetOf({"--secure-serving=true", "--enable-cert-reload=true",
                            "--model-server-metrics-scheme=https", "--cert-path=/var/run/kserve/tls"}));
}

TEST(PresetEncryption, IsNowhereWhereTheClusterDoesNot) {
  const auto compiled = compile(service_with(kSplit), {.tls = false});
  for (const char* name :
       {"Deployment/a-kserve", "Deployment/a-kserve-prefill", "Deployment/a-kserve-router-scheduler"}) {
    for (const std::string& word : line_of(compiled, name, kMain)) {
      EXPECT_THAT(word,
                  testing::AllOf(Not(HasSubstr("ssl")), Not(HasSubstr("cert")), Not(HasSubstr("https"))))
          << name;
    }
  }
}

TEST(PresetEncryption, TheSidecarSpeaksItToBothHalves) {
  const auto on = line_of(compile(service_with(kSplit), {.tls = true}), "Deployment/a-kserve", kSidecar);
  EXPECT_THAT(on, IsSupersetOf({"--secure-proxy=true", "--cert-path=/var/run/kserve/tls",
                                "--enable-tls=decoder", "--enable-tls=prefiller"}));
  const auto off = line_of(compile(service_with(kSplit), {.tls = false}), "Deployment/a-kserve", kSidecar);
  EXPECT_THAT(off, Contains("--secure-proxy=false"));
  EXPECT_THAT(off, Not(Contains(HasSubstr("--enable-tls"))));
  EXPECT_THAT(off, Not(Contains(HasSubstr("--cert-path"))));
}

TEST(PresetEncryption, ProbesFollow) {
  for (const bool tls : {false, true}) {
    const auto compiled = compile(service_with(""), {.tls = tls});
    EXPECT_EQ(text_at(json::Value(compiled.objects.front()),
                      "spec.template.spec.containers[0].readinessProbe.httpGet.scheme"),
              tls ? "HTTPS" : "HTTP");
  }
}

}  // namespace
}  // namespace llmd::llmisvc
