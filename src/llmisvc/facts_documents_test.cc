// What documents of a cluster say about it.
#include "llmisvc/facts_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

Facts facts_of(std::string_view yaml) {
  const auto documents = json::parse_yaml(yaml, "facts.yaml");
  EXPECT_TRUE(documents) << documents.error().text();
  return with_documents({}, *documents);
}

Facts with_settings(std::string_view ingress) {
  return facts_of(
      fmt::format("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inferenceservice-config, "
                  "namespace: kserve}}\ndata:\n  ingress: '{}'\n",
                  ingress));
}

TEST(OperatorSettings, ReplaceTheDefaults) {
  const Facts facts =
      with_settings(R"({"kserveIngressGateway":"net/edge","enableLLMInferenceServiceTLS":true,)"
                    R"("modelBasedRoutingMode":"disabled","modelBasedRoutingHeaderName":"X-Model"})");
  EXPECT_EQ(facts.gateway_namespace, "net");
  EXPECT_EQ(facts.gateway_name, "edge");
  EXPECT_TRUE(facts.tls);
  EXPECT_EQ(facts.model_routing, ModelRouting::Disabled);
  EXPECT_EQ(facts.model_header, "X-Model");
}

TEST(OperatorSettings, WhatTheyDoNotSayKeepsItsDefault) {
  for (const char* ingress : {"{}", "not JSON", R"({"modelBasedRoutingMode":"sometimes"})"}) {
    const Facts facts = with_settings(ingress);
    EXPECT_EQ(facts.gateway_name, "kserve-ingress-gateway") << ingress;
    EXPECT_FALSE(facts.tls) << ingress;
    EXPECT_EQ(facts.model_routing, ModelRouting::Enabled) << ingress;
    EXPECT_EQ(facts.model_header, "X-Gateway-Model-Name") << ingress;
  }
}

TEST(ClusterDocuments, DefinitionsSayWhichOptionalKindsThereAre) {
  const Facts facts = facts_of(
      "apiVersion: v1\nkind: List\nitems:\n"
      "- {kind: CustomResourceDefinition, metadata: {name: inferencepools.inference.networking.k8s.io}}\n"
      "- {kind: CustomResourceDefinition, metadata: {name: podmonitors.monitoring.coreos.com}, spec: "
      "{versions: "
      "[{served: false}]}}\n");
  EXPECT_TRUE(facts.has_inference_pool_v1);
  EXPECT_FALSE(facts.has_inference_pool_v1alpha2);
  EXPECT_FALSE(facts.has_monitors);
}

TEST(ClusterDocuments, AGatewayMayOptOutOfRoutingByModel) {
  const Facts facts = facts_of(
      "kind: Gateway\nmetadata: {name: g, namespace: net, annotations: "
      "{serving.kserve.io/model-based-routing-enabled: 'false'}}\n---\nkind: Gateway\nmetadata: {name: h}\n");
  EXPECT_THAT(facts.gateways_without_model_routing, testing::ElementsAre("net/g"));
}

}  // namespace
}  // namespace llmd::llmisvc
