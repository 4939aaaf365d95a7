// Every type of plugin: it loads with the parameters that it cannot do without, and knows its own from
// others.
#include "picker/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "picker/config.h"

namespace llmd::picker {

// In messages of tests.
static void PrintTo(const PluginType& type, std::ostream* out) {
  *out << type.type;
}

namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Parameters without which a type refuses to load.
std::string_view needed_by(std::string_view type) {
  static const std::map<std::string_view, std::string_view> kNeeded = {
      {"by-label", "label: role, validValues: [decode]"},
      {"decision-tree-filter", "current: low-queue-filter"},
      {"disaggregatedset-rollout-screener",
       "scope: {labelSelector: {matchLabels: {a: b}}}, revisionGating: {mode: disabled}"},
      {"endpoint-attribute-filter",
       "attribute: x, algorithm: {type: threshold, threshold: {operator: LessThan, value: 1}}"},
      {"endpoint-attribute-scorer", "attributeKey: x, algorithm: {type: linear_lower_is_better}"},
      {"file-discovery", "path: /tmp/e.yaml"},
      {"header-label-affinity-scorer", "headerName: x-a, labelKey: a"},
      {"header-label-filter", "headerName: x-a, labelKey: a"},
      {"multicluster-file-discovery", "path: /tmp/e.yaml"},
      {"priority-holdback-policy", "minCeiling: 0.5"},
      {"request-attribute-reporter",
       "attributes: [{key: {namespace: envoy.lb, name: tokens}, expression: usage.prompt_tokens}]"},
      {"session-id-producer", "headerName: x-session-id"},
      {"utilization-filter", "conditions: [{metric: waiting-queue, maxValue: 5}]"},
  };
  const auto found = kNeeded.find(type);
  return found == kNeeded.end() ? "" : found->second;
}

// What else a document needs that has the type.
std::string_view beside(std::string_view type) {
  if (type.starts_with("multicluster-") && type.ends_with("-scorer") && !type.contains("prefix")) {
    return "- type: multicluster-metrics-data-source\n- type: multicluster-metrics-extractor\n"
           "dataLayer: {sources: [{pluginRef: multicluster-metrics-data-source, extractors: [{pluginRef: "
           "multicluster-metrics-extractor}]}]}\n";
  }
  if (type == "decision-tree-filter") {
    return "- type: low-queue-filter\n";
  }
  if (type == "disagg-profile-handler" || type == "pd-profile-handler") {
    return "schedulingProfiles: [{name: prefill}, {name: decode}]\n";
  }
  return "";
}

std::string document_with(std::string_view type, std::string_view more) {
  const std::string_view needed = needed_by(type);
  return fmt::format("plugins:\n- type: {}\n  parameters: {{{}{}{}}}\n{}", type, needed,
                     needed.empty() || more.empty() ? "" : ", ", more, beside(type));
}

std::vector<std::string> problems_of(const std::string& document) {
  return check_configuration(document, "x.yaml", {.allow_experimental = true}).errors;
}

class EveryType : public testing::TestWithParam<PluginType> {};

TEST_P(EveryType, LoadsAndSaysWhenItNeedsParameters) {
  const std::string_view type = GetParam().type;
  EXPECT_THAT(problems_of(document_with(type, "")), IsEmpty());
  if (!needed_by(type).empty()) {
    EXPECT_THAT(problems_of(fmt::format("plugins:\n- type: {}\n{}", type, beside(type))), Not(IsEmpty()));
  }
}

TEST_P(EveryType, RefusesForeignParametersWhereItHasAny) {
  // They look at no parameters at all, here and in llm-d.
  static constexpr std::string_view kIndifferent[] = {"always-disagg-multimodal-decider",
                                                      "always-disagg-pd-decider",
                                                      "anthropic-parser",
                                                      "dcgm-extractor",
                                                      "decode-filter",
                                                      "edf-ordering-policy",
                                                      "encode-filter",
                                                      "endpoint-notification-source",
                                                      "fcfs-ordering-policy",
                                                      "global-strict-fairness-policy",
                                                      "kv-cache-scorer",
                                                      "kv-cache-utilization-scorer",
                                                      "lora-affinity-scorer",
                                                      "model-server-protocol-models",
                                                      "models-data-extractor",
                                                      "openai-parser",
                                                      "passthrough-parser",
                                                      "prefill-filter",
                                                      "queue-scorer",
                                                      "round-robin-fairness-policy",
                                                      "running-requests-size-scorer",
                                                      "sglanghttp-parser",
                                                      "single-profile-handler",
                                                      "slo-deadline-ordering-policy",
                                                      "vertexai-parser",
                                                      "vllmgrpc-parser",
                                                      "vllmhttp-parser"};
  // llm-d refuses them, or has these types no more; nothing is lost by what they might say.
  static constexpr std::string_view kLenient[] = {"least-kv-cache-filter",
                                                  "least-queue-filter",
                                                  "destination-endpoint-served-verifier",
                                                  "header-based-testing-filter",
                                                  "multicluster-kv-cache-utilization-scorer",
                                                  "multicluster-queue-scorer",
                                                  "slo-aware-profile-handler"};
  const std::string_view type = GetParam().type;
  const auto problems = problems_of(document_with(type, "fromMars: 1"));
  const auto refused = Contains(HasSubstr("plugins[0].parameters.fromMars: unknown parameter"));
  if (std::ranges::find(kIndifferent, type) != std::end(kIndifferent)) {
    EXPECT_THAT(problems, IsEmpty());
  } else if (std::ranges::find(kLenient, type) == std::end(kLenient)) {
    EXPECT_THAT(problems, refused);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryType, testing::ValuesIn(plugin_types().begin(), plugin_types().end()),
                         [](const testing::TestParamInfo<PluginType>& info) {
                           std::string name(info.param.type);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Stability, ExperimentalTypesAreThoseOfLlmD) {
  std::vector<std::string_view> alpha;
  for (const PluginType& type : plugin_types()) {
    if (type.stability == Stability::Alpha) {
      alpha.push_back(type.type);
    }
  }
  // Beside these llm-d has two that no configuration can name, and session-affinity-scorer: it loads without
  // the flag here, because documents from before there was one have it.
  EXPECT_THAT(
      alpha,
      testing::UnorderedElementsAre(
          "agent-identity", "burst-prefix-cache-producer", "dcgm-data-source", "dcgm-extractor",
          "disaggregatedset-rollout-screener", "endpoint-attribute-filter", "endpoint-attribute-scorer",
          "header-label-affinity-scorer", "header-profile-handler",
          "multicluster-approx-prefix-cache-producer", "multicluster-file-discovery",
          "multicluster-kv-cache-utilization-scorer", "multicluster-metrics-data-source",
          "multicluster-metrics-extractor", "multicluster-prefix-cache-scorer", "multicluster-queue-scorer",
          "multicluster-session-affinity-filter", "p2p-source-producer", "priority-holdback-policy",
          "session-affinity-filter", "soft-reflective-ceiling-policy", "topology-affinity-filter",
          "topology-affinity-scorer", "topology-extractor", "utilization-filter"));
}

}  // namespace
}  // namespace llmd::picker
