#include "llmisvc/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "base/file.h"
#include "llmisvc/finding_codes.h"
#include "llmisvc/testing_manifests.h"

namespace llmd::llmisvc {
namespace {

TEST(CheckManifest, AGoodServiceHasNoFindings) {
  EXPECT_EQ(check_text(service("  model: {uri: hf://a/b}\n  router: {gateway: {}, route: {}}\n")), "");
}

struct Mistake {
  const char* name;
  std::string yaml;
  const char* output;
};

class CheckManifestMistake : public testing::TestWithParam<Mistake> {};

TEST_P(CheckManifestMistake, IsPrintedWithItsPlaceAndAFix) {
  EXPECT_EQ(check_text(GetParam().yaml), GetParam().output);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckManifestMistake,
    testing::Values(
        Mistake{"Misspelt", service("  model: {uri: hf://a/b}\n  replicsa: 2\n"),
                "service.yaml:6:3: error: spec.replicsa: unknown field [unknown-field]\n"
                "  fix: did you mean 'replicas'?\n"},
        Mistake{"DeepInThePod",
                service("  model: {uri: hf://a/b}\n  template:\n    containers:\n    - name: main\n"
                        "      imagePullpolicy: Always\n"),
                "service.yaml:9:7: error: spec.template.containers[0].imagePullpolicy: unknown field "
                "[unknown-field]\n"
                "  fix: did you mean 'imagePullPolicy'?\n"},
        Mistake{"WrongType", service("  model: {uri: hf://a/b}\n  replicas: two\n"),
                "service.yaml:6:3: error: spec.replicas: expected an integer, got a string [wrong-type]\n"},
        Mistake{"NumberAsText",
                service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, env: [{name: X,"
                        " value: 8}]}]}\n"),
                "service.yaml:6:56: error: spec.template.containers[0].env[0].value: expected a string, got "
                "an integer "
                "[wrong-type]\n  fix: write it in quotes: \"8\"\n"},
        Mistake{"Negative", service("  model: {uri: hf://a/b}\n  replicas: -1\n"),
                "service.yaml:6:3: error: spec.replicas: must be at least 0, got -1 [out-of-range]\n"},
        Mistake{
            "NoScheme", service("  model: {uri: meta-llama/Llama-3-8B}\n"),
            "service.yaml:5:11: error: spec.model.uri: 'meta-llama/Llama-3-8B' has no scheme [model-uri]\n"
            "  fix: write where the model is, for example hf://meta-llama/Llama-3-8B\n"},
        Mistake{"UnknownScheme", service("  model: {uri: hff://a/b}\n"),
                "service.yaml:5:11: error: spec.model.uri: unknown scheme 'hff://' [model-uri]\n"
                "  fix: did you mean 'hf'?\n"},
        Mistake{"NoModel", service("  replicas: 1\n"),
                "service.yaml:4:1: error: spec: 'model' is required [missing-field]\n"},
        Mistake{
            "BadName", service("  model: {uri: hf://a/b}\n", "Llama3.1"),
            "service.yaml:3:12: error: metadata.name: 'Llama3.1' cannot be part of a host name: lower case "
            "letters, "
            "digits and '-', at most 63, the first one a letter [bad-name]\n  fix: for example llama3-1\n"},
        Mistake{"Criticality", service("  model: {uri: hf://a/b, criticality: Critcal}\n"),
                "service.yaml:5:26: error: spec.model.criticality: 'Critcal' is not one of Critical, "
                "Standard, Normal, "
                "Sheddable [bad-value]\n  fix: did you mean 'Critical'?\n"},
        Mistake{"CriticalityAlone", service("  model: {uri: hf://a/b, criticality: Critical}\n"),
                "service.yaml:5:26: warning: spec.model.criticality: nothing looks at criticality without a "
                "scheduler "
                "[criticality-without-scheduler]\n  fix: add router.scheduler: {}\n"},
        Mistake{"DataWithoutLocal", service("  model: {uri: hf://a/b}\n  parallelism: {data: 4}\n"),
                "service.yaml:6:3: error: spec.parallelism: data needs dataLocal: how many of the copies run "
                "in one pod "
                "[parallelism]\n  fix: add dataLocal: 4\n"},
        Mistake{"TooFewAccelerators",
                service("  model: {uri: hf://a/b}\n  parallelism: {tensor: 8}\n  template: {containers: "
                        "[{name: main, "
                        "resources: {limits: {nvidia.com/gpu: \"4\"}}}]}\n"),
                "service.yaml:7:3: error: spec.template: the pod asks for 4 GPUs, its parallelism needs 8 "
                "(tensor 8 x "
                "dataLocal 1 x pipeline 1) [accelerators]\n  fix: request 8 GPUs, or change parallelism\n"},
        Mistake{"TwoContainersOfOneName",
                service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main}, {name: main}]}\n"),
                "service.yaml:6:41: error: spec.template.containers[1]: name \"main\" is already taken "
                "[duplicate]\n"},
        Mistake{
            "NoMain",
            service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, $patch: delete}]}\n"),
            "service.yaml:4:1: error: spec: spec.template: no container is called 'main' [render]\n"
            "  fix: the model server's container must be called main\n"},
        Mistake{"Syntax", "a: [1\nb: 2\n",
                "service.yaml:2:2: error: did not find expected ',' or ']' [syntax]\n"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(CheckManifest, AFullDocumentOfAnotherKindIsLeftAlone) {
  EXPECT_EQ(check_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {anything: goes}\n"), "");
}

// One row for each code.
struct Row {
  const char* code;
  Severity severity;
  std::string yaml;
  const char* sentence;  // a part of it
  const char* fix = "";  // a part of it
};

const char* kGroup =
    "  worker: {containers: []}\n  template: {containers: [{name: main, resources: {limits: {nvidia.com/gpu: "
    "8}}}]}\n";

std::vector<Row> rows() {
  const std::string model = "  model: {uri: hf://a/b}\n";
  const auto with = [&](const std::string& rest) { return service(model + rest); };
  return {
      {"accelerators", Severity::Error,
       with("  parallelism: {tensor: 8}\n  template: {containers: [{name: main, resources: {limits: "
            "{nvidia.com/gpu: "
            "4}}}]}\n"),
       "asks for 4 GPUs, its parallelism needs 8", "request 8"},
      {"adapter-name", Severity::Error,
       service("  model: {uri: hf://a/b, name: m, lora: {adapters: [{name: m, uri: hf://a/c}]}}\n"),
       "model's name"},
      {"bad-name", Severity::Error, service(model, "Llama3.1"), "cannot be part of a host name", "llama3-1"},
      {"bad-value", Severity::Error, service("  model: {uri: hf://a/b, criticality: High}\n"),
       "is not one of"},
      {"confidential", Severity::Error,
       service("  model: {uri: hf://a/b, confidential: {enabled: true, resourceId: here}}\n"), "kbs:///"},
      {"config-map-key", Severity::Error,
       with("  router: {scheduler: {config: {ref: {name: m, key: k}}}}\n") +
           "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {other: x}\n",
       "has no key 'k'"},
      {"config-map-not-found", Severity::Note,
       with("  router: {scheduler: {config: {ref: {name: m, key: k}}}}\n"),
       "ConfigMap 'm' of namespace 'default' is not among the files"},
      {"config-not-found", Severity::Error, with("  baseRefs: [{name: c}]\n"), "'c' exists neither"},
      {"criticality-without-scheduler", Severity::Warning,
       service("  model: {uri: hf://a/b, criticality: Critical}\n"), "without a scheduler",
       "router.scheduler"},
      {"device-claim", Severity::Error,
       service(model, "{name: a, annotations: {serving.kserve.io/exp-dra-device-count: \"2\"}}"),
       "device class"},
      {"duplicate", Severity::Error, with("  template: {containers: [{name: main}, {name: main}]}\n"),
       "already taken"},
      {"duplicate-object", Severity::Error, service(model) + "---\n" + service(model),
       "already described at"},
      {"kv-cache", Severity::Error, with("  kvCacheOffloading: {cpu: 0}\n"), "more than nothing"},
      {"memory", Severity::Note,
       service("  model: {uri: hf://meta-llama/Llama-3-8B}\n  template: {containers: [{name: main, "
               "resources: {limits: "
               "{nvidia.com/gpu: 1}}}]}\n"),
       "needs at least 21.8 GiB per GPU: (weights 15.0 GiB + activations 3.6 GiB + a sequence of 8192 tokens "
       "1.0 GiB) / "
       "0.90"},
      {"missing-field", Severity::Error, service("  replicas: 1\n"), "'model' is required"},
      {"model-uri", Severity::Error, service("  model: {uri: hf://a/b/c}\n"),
       "is not hf://ORGANISATION/MODEL"},
      {"name-length", Severity::Error,
       service(model + "  parallelism: {pipeline: 2, tensor: 8}\n" + kGroup,
               "a-name-of-a-service-that-is-quite-a-bit-too-long"),
       "has 48 characters", "at most 40"},
      {"name-shortened", Severity::Note, service(model, "a-name-of-a-service-that-is-quite-a-bit-too-long"),
       "are shortened", "at most 39"},
      {"nested-base-refs", Severity::Error, std::string(kConfig) + "  baseRefs: [{name: d}]\n",
       "cannot start from other configs"},
      {"no-api-version", Severity::Warning,
       "kind: LLMInferenceServiceConfig\nmetadata: {name: c}\nspec: {}\n", "no apiVersion"},
      {"not-an-object", Severity::Error, "spec: {replicas: 3}\n", "no kind", "kind: LLMInferenceService"},
      {"not-converted", Severity::Warning,
       "modelArtifacts: {uri: hf://a/b, name: a/b}\ndecode: {strategy: {type: Recreate}}\n",
       "how Deployments roll"},
      {"null-dropped", Severity::Warning, with("  replicas: null\n"), "an API server drops null here"},
      {"out-of-range", Severity::Error, with("  replicas: -1\n"), "at least 0, got -1"},
      {"parallelism", Severity::Error, with("  parallelism: {pipeline: 2, data: 2, dataLocal: 1}\n"),
       "exclude each other"},
      {"path-conflict", Severity::Error,
       service(model + kRoute, "a") + "---\n" + service(model + kRoute, "b"), "PathPrefix /x on Gateway"},
      {"picker-as-backend", Severity::Warning,
       "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: "
       "[{backendRefs: "
       "[{name: x-epp, port: 8000}]}]}\n",
       "endpoint picker", "InferencePool, name: x}"},
      {"pinned-devices", Severity::Warning,
       with(
           "  template: {containers: [{name: main, env: [{name: NVIDIA_VISIBLE_DEVICES, value: \"1\"}]}]}\n"),
       "past Kubernetes"},
      {"placeholder", Severity::Warning, with("  prefill: {...}\n"), "placeholder"},
      {"render", Severity::Error, with("  template: {containers: [{name: main, $patch: delete}]}\n"),
       "no container is called 'main'"},
      {"router", Severity::Error, with("  router: {route: {group: g}}\n"), "group needs weight", "weight: 1"},
      {"scaling", Severity::Error, with("  replicas: 1\n  scaling: {maxReplicas: 2, wva: {hpa: {}}}\n"),
       "replicas and scaling exclude each other"},
      {"scheduler-config", Severity::Error, with("  router: {scheduler: {config: {}}}\n"),
       "one of inline and ref"},
      {"syntax", Severity::Error, "a: [1\nb: 2\n", "did not find"},
      {"template", Severity::Error, std::string(kConfig) + "  model: {name: \"{{.Nam}}\"}\n",
       "unknown variable .Nam", "did you mean 'name'?"},
      {"tensor-across-pods", Severity::Warning,
       with("  parallelism: {tensor: 16}\n  worker: {containers: []}\n"),
       "tensor 16 over pods of 8 GPUs (not stated: a leader and a worker share it) makes groups of 2;",
       "pipeline: 2 with tensor: 8"},
      {"tensor-derived", Severity::Warning, with("  parallelism: {pipeline: 4}\n" + std::string(kGroup)),
       "give tensor 4"},
      {"tensor-heads", Severity::Warning,
       service("  model: {uri: hf://meta-llama/Llama-3-8B}\n  parallelism: {tensor: 3}\n"), "8 KV heads"},
      {"unknown-field", Severity::Error, with("  replicsa: 2\n"), "unknown field",
       "did you mean 'replicas'?"},
      {"wrong-type", Severity::Error, with("  replicas: two\n"), "expected an integer, got a string"},
  };
}

class FindingRow : public testing::TestWithParam<Row> {};

TEST_P(FindingRow, IsReported) {
  const Row& row = GetParam();
  const Findings findings = check_manifest(row.yaml, "service.yaml");
  const auto found = std::ranges::find_if(findings, [&](const Finding& finding) {
    return finding.code == row.code && finding.sentence.find(row.sentence) != std::string::npos;
  });
  ASSERT_NE(found, findings.end()) << check_text(row.yaml);
  EXPECT_EQ(found->severity, row.severity);
  EXPECT_THAT(found->fix, testing::HasSubstr(row.fix));
  EXPECT_GT(found->line, 0U);
}

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.code;
}

INSTANTIATE_TEST_SUITE_P(Codes, FindingRow, testing::ValuesIn(rows()), [](const auto& param) {
  std::string name = param.param.code;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(FindingCodes, EachHasARowAndTheSourcesUseNoOther) {
  std::set<std::string> listed;
  for (const FindingCode& one : finding_codes()) {
    EXPECT_TRUE(listed.emplace(one.code).second) << one.code;
  }
  // By CheckUpdate, and by the command line.
  std::set<std::string> tested{"group-size-changed", "gateway-config", "picker-config"};
  for (const Row& row : rows()) {
    tested.insert(row.code);
  }
  EXPECT_EQ(tested, listed);

  const std::regex use(R"((\.code = |add\(|add\(findings, |add_at\()\s*"([a-z][a-z-]+)\")");
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(LLMD_SOURCE_DIR) + "/src/llmisvc")) {
    const std::string file = entry.path().filename().string();
    if (!file.ends_with(".cc") || file.ends_with("_test.cc")) {
      continue;
    }
    const std::string text = *read_file(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), use), end; it != end; ++it) {
      EXPECT_TRUE(listed.contains((*it)[2])) << file << ": " << (*it)[2];
    }
  }
}

TEST(CheckUpdate, RefusesAnotherGroupSizeButNotOtherChanges) {
  const auto compiled = [](std::string_view parallelism) {
    const auto manifest = parse_manifest(
        service(fmt::format("  model: {{uri: hf://a/b}}\n  worker: {{containers: []}}\n  parallelism: {}\n",
                            parallelism)),
        "a.yaml");
    return compile(manifest->services.front().value.get_object(), {}).service;
  };
  const GroupSizes before = group_sizes_of(compiled("{data: 8, dataLocal: 4, tensor: 1}"));
  EXPECT_TRUE(check_update(before, compiled("{data: 4, dataLocal: 2, tensor: 2}")).empty());
  const auto findings = check_update(before, compiled("{data: 8, dataLocal: 2, tensor: 1}"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].code, "group-size-changed");
  EXPECT_EQ(findings[0].sentence,
            "the size of a group cannot be changed in place: 2 pods before, 4 pods now");
}

TEST(CheckManifest, ItemsOfAListHaveTheirOwnLines) {
  EXPECT_EQ(check_text("apiVersion: v1\nkind: List\nitems:\n- apiVersion: serving.kserve.io/v1alpha2\n"
                       "  kind: LLMInferenceService\n  metadata: {name: a}\n  spec:\n"
                       "    model: {uri: hf://a/b}\n    replicsa: 2\n"
                       "- apiVersion: serving.kserve.io/v1alpha2\n  kind: LLMInferenceService\n"
                       "  metadata: {name: b}\n  spec:\n    model: {uri: hf://a/b}\n    replicas: two\n"
                       "- {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n"),
            "service.yaml:9:5: error: spec.replicsa: unknown field [unknown-field]\n"
            "  fix: did you mean 'replicas'?\n"
            "service.yaml:15:5: error: spec.replicas: expected an integer, got a string [wrong-type]\n");
}

TEST(CheckManifest, AnEmptyListHasNothingToSay) {
  EXPECT_EQ(check_text("apiVersion: v1\nkind: List\nitems: []\n"), "");
}

// As an API server does with the generated CustomResourceDefinitions (tests/kubernetes/test_crds.py).
TEST(CheckManifest, NullRemovesWhatIsOptionalAndIsRefusedWhereSomethingIsRequired) {
  EXPECT_EQ(
      check_text(service("  model: {uri: hf://a/b}\n  template: {nodeSelector: null, containers: [{name: "
                         "main, livenessProbe: null}]}\n")),
      "");
  for (const char* spec :
       {"  model: null\n", "  model: {uri: hf://a/b}\n  template: {containers: [{name: null}]}\n",
        "  model: {uri: hf://a/b}\n  template: {containers: [{name: main, args: [null]}]}\n"}) {
    EXPECT_THAT(check_text(service(spec)), testing::HasSubstr("null cannot stand here [wrong-type]")) << spec;
  }
}

TEST(CheckManifest, NullThatAnApiServerDropsIsAWarning) {
  for (const char* spec :
       {"  model: {uri: hf://a/b, criticality: null}\n", "  model: {uri: hf://a/b}\n  replicas: null\n"}) {
    EXPECT_THAT(check_text(service(spec)), testing::HasSubstr("warning: ")) << spec;
    EXPECT_THAT(check_text(service(spec)), testing::HasSubstr("[null-dropped]")) << spec;
  }
}

}  // namespace
}  // namespace llmd::llmisvc
