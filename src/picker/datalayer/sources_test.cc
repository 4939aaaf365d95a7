// Which sources and extractors a configuration may name, together and with which parameters; what is added
// where it names none.
#include "picker/datalayer/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/datalayer/scrape_scene.h"

namespace llmd::picker {
namespace {

using testing::HasSubstr;

Result<std::unique_ptr<Picker>> load(std::string_view config) {
  return Picker::from_config(config, "x.yaml", {.load = {.allow_experimental = true}});
}

std::string problem(std::string_view config) {
  const auto picker = load(config);
  return picker ? "" : picker.error().text();
}

// "source: extractor, extractor; source: …", as they will be asked.
std::string polls(std::string_view config) {
  const auto picker = load(config);
  if (!picker) {
    return picker.error().text();
  }
  std::string all;
  for (const Plan::Poll& poll : (*picker)->plan().polls) {
    all += (all.empty() ? "" : "; ") + poll.source->name + ":";
    for (const CoreMetricsExtractor* extractor : poll.extractors) {
      all += " " + extractor->name;
    }
  }
  return all;
}

TEST(SourceParameters, HaveTheirDefaults) {
  struct Row {
    std::string_view type;
    std::string_view parameters;
    std::string_view asks;
  };
  const Row rows[] = {
      {"metrics-data-source", "{}", "http /metrics 0 unverified"},
      {"metrics-data-source", "{scheme: https, path: /m, port: 9, insecureSkipVerify: false}",
       "https /m 9 verified"},
      {"models-data-source", "{}", "http /v1/models 0 unverified"},
      {"dcgm-data-source", "{}", "http /metrics 9400 unverified"},
      {"dcgm-data-source", "{port: 9401, useNodeAddress: true}", "http /metrics 9401 unverified at the node"},
      {"multicluster-metrics-data-source", "{}", "https /metrics 0 verified"},
      {"multicluster-metrics-data-source", "{scheme: http, port: 9, insecureSkipVerify: true}",
       "http /metrics 0 unverified"},
  };
  for (const Row& row : rows) {
    const auto picker =
        load(scraping(fmt::format("- {{type: {}, parameters: {}}}\n", row.type, row.parameters),
                      fmt::format("[{{pluginRef: {}}}]", row.type)));
    ASSERT_TRUE(picker) << picker.error().text();
    const PollSource::Options& options = (*picker)->plan().polls.front().source->options;
    EXPECT_EQ(fmt::format("{} {} {} {}{}", options.https ? "https" : "http", options.path, options.port,
                          options.verify ? "verified" : "unverified", options.at_node ? " at the node" : ""),
              row.asks)
        << row.type << row.parameters;
  }
}

TEST(SourceParameters, MistakesAreNamed) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"{type: metrics-data-source, parameters: {scheme: ftp}}", "unknown value \"ftp\""},
      {"{type: metrics-data-source, parameters: {port: -1}}", "port: must be a port"},
      {"{type: metrics-data-source, parameters: {port: 65536}}", "port: must be a port"},
      {"{type: metrics-data-source, parameters: {interval: -5}}", "interval: must not be negative"},
      {"{type: metrics-data-source, parameters: {interval: soon}}", "parameters.interval"},
      {"{type: metrics-data-source, parameters: {clientCertPath: c}}",
       "clientKeyPath: a certificate and its key"},
      {"{type: metrics-data-source, parameters: {clientKeyPath: k}}",
       "clientCertPath: a certificate and its key"},
      {"{type: metrics-data-source, parameters: {useNodeAddress: true}}",
       "useNodeAddress: unknown parameter"},
      {"{type: models-data-source, parameters: {interval: -1s}}", "parameters.interval"},
      {"{type: dcgm-data-source, parameters: {gpu: 1}}", "gpu: unknown parameter"},
      {"{type: multicluster-metrics-data-source, parameters: {port: x}}", "port: expected"},
      {"{type: file-discovery}", "path: is required"},
      {"{type: file-discovery, parameters: {path: f, watch: true}}", "watch: unknown parameter"},
  };
  for (const auto& [plugin, said] : rows) {
    EXPECT_THAT(problem(fmt::format("plugins:\n- {}\n", plugin)), HasSubstr(std::string(said))) << plugin;
  }
}

TEST(Sources, TheUsualOneIsAddedWhereTheDocumentHasNone) {
  struct Row {
    std::string_view plugins;
    std::string_view data_layer;
    std::string_view expected;
  };
  const Row rows[] = {
      {"", "{}", "metrics-data-source: core-metrics-extractor"},
      {"", "{injectDefaults: false}", ""},  // decides by what it has sent alone
      // What is listed is used, under whatever name, instead of one made with defaults.
      {"- {type: core-metrics-extractor, name: mine}\n", "{}", "metrics-data-source: mine"},
      {"- {type: model-server-protocol-metrics, name: mine}\n", "{}", "metrics-data-source: mine"},
      {"- {type: metrics-data-source, name: numbers}\n", "{}", "numbers: core-metrics-extractor"},
      // Another source beside it.
      {"- type: models-data-source\n- type: models-data-extractor\n",
       "{sources: [{pluginRef: models-data-source, extractors: [{pluginRef: models-data-extractor}]}]}",
       "models-data-source:; metrics-data-source: core-metrics-extractor"},
      {"- type: dcgm-data-source\n- type: dcgm-extractor\n",
       "{sources: [{pluginRef: dcgm-data-source, extractors: [{pluginRef: dcgm-extractor}]}]}",
       "dcgm-data-source: dcgm-extractor; metrics-data-source: core-metrics-extractor"},
      {"- type: endpoint-notification-source\n", "{sources: [{pluginRef: endpoint-notification-source}]}",
       "metrics-data-source: core-metrics-extractor"},
      // One of its kind under any name is enough.
      {"- {type: metrics-data-source, name: numbers}\n- type: core-metrics-extractor\n",
       "{sources: [{pluginRef: numbers, extractors: [{pluginRef: core-metrics-extractor}]}]}",
       "numbers: core-metrics-extractor"},
      {"- type: metrics-data-source\n", "{sources: [{pluginRef: metrics-data-source}]}",
       "metrics-data-source:"},
      // Types that nobody lists are made when sources name them.
      {"", "{sources: [{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]}",
       "metrics-data-source: core-metrics-extractor"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(
        polls(fmt::format("plugins:\n- type: random-picker\n{}dataLayer: {}\n", row.plugins, row.data_layer)),
        row.expected)
        << row.plugins << row.data_layer;
  }
}

TEST(Sources, AListedExtractorsParametersCountInTheUsualSource) {
  const auto picker = load(
      "plugins:\n- type: queue-scorer\n- {type: core-metrics-extractor, parameters: {defaultEngine: "
      "sglang}}\n");
  ASSERT_TRUE(picker) << picker.error().text();
  EXPECT_EQ((*picker)->plan().polls.front().extractors.front()->scanner_for({}).engine(), "sglang");
}

TEST(Sources, WithoutAnyARequestStillFindsAnEndpoint) {
  const auto picker =
      load(scraping("- type: endpoint-notification-source\n", "[{pluginRef: endpoint-notification-source}]"));
  ASSERT_TRUE(picker) << picker.error().text();
  (*picker)->update({{.address = {"10.0.0.1", 1}, .name = "e"}});
  EXPECT_TRUE((*picker)->pick({.model = "m"}));
}

TEST(Extractors, MustFitTheirSource) {
  struct Row {
    std::string_view plugins;
    std::string_view sources;
    std::string_view said;  // empty: nothing
  };
  const Row rows[] = {
      {"- type: core-metrics-extractor\n- {type: core-metrics-extractor, name: second}\n",
       "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}, {pluginRef: "
       "second}]}]",
       "sources[0].extractors[1].pluginRef: a second extractor of the type 'core-metrics-extractor'"},
      {"- type: core-metrics-extractor\n- type: model-server-protocol-metrics\n",
       "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}, {pluginRef: "
       "model-server-protocol-metrics}]}]",
       "a second extractor of the type"},
      {"- type: core-metrics-extractor\n- {type: core-metrics-extractor, name: second}\n"
       "- {type: metrics-data-source, name: other}\n",
       "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}, {pluginRef: "
       "other, "
       "extractors: [{pluginRef: second}]}]",
       ""},
      {"", "[{pluginRef: models-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]",
       "the plugin 'core-metrics-extractor' cannot read what the source 'models-data-source' has to say"},
      {"", "[{pluginRef: metrics-data-source, extractors: [{pluginRef: models-data-extractor}]}]",
       "the plugin 'models-data-extractor' cannot read"},
      {"", "[{pluginRef: endpoint-notification-source, extractors: [{pluginRef: core-metrics-extractor}]}]",
       "the plugin 'core-metrics-extractor' cannot read"},
      {"", "[{pluginRef: k8s-notification-source, extractors: [{pluginRef: dcgm-extractor}]}]",
       "cannot read"},
      {"- type: queue-scorer\n",
       "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}, {pluginRef: "
       "queue-scorer}]}]",
       "the plugin 'queue-scorer' is no extractor"},
      {"- type: queue-scorer\n",
       "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}, {pluginRef: "
       "queue-scorer}]",
       "the plugin 'queue-scorer' is no data source"},
      {"", "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metric-extractor}]}]",
       "the plugin 'core-metric-extractor' is not defined"},
      {"- {type: k8s-notification-source, name: a, parameters: {version: v1, kind: Pod}}\n"
       "- {type: k8s-notification-source, name: b, parameters: {version: v1, kind: Pod}}\n",
       "[{pluginRef: a}, {pluginRef: b}]",
       "sources[1].pluginRef: a duplicate source: another one is notified of"},
      {"- {type: k8s-notification-source, name: a, parameters: {version: v1, kind: Pod}}\n"
       "- {type: k8s-notification-source, name: b, parameters: {version: v1, kind: Node}}\n",
       "[{pluginRef: a}, {pluginRef: b}]", ""},
  };
  for (const Row& row : rows) {
    const std::string said = problem(scraping(row.plugins, row.sources));
    EXPECT_EQ(said.empty(), row.said.empty()) << said << row.sources;
    EXPECT_THAT(said, HasSubstr(std::string(row.said))) << row.sources;
  }
}

// Upstream's graph of data: who needs what, and who makes it where nobody is configured to.
TEST(Data, NumbersThatAreNeededMustBeRead) {
  struct Row {
    std::string_view plugin;
    std::string_view sources;
    std::string_view missing;  // empty: nothing
  };
  constexpr std::string_view kEngines =
      "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]";
  constexpr std::string_view kClusters =
      "[{pluginRef: multicluster-metrics-data-source, extractors: [{pluginRef: "
      "multicluster-metrics-extractor}]}]";
  const Row rows[] = {
      {"queue-scorer", kEngines, ""},
      {"queue-scorer", "[]", "metrics/core-metrics-extractor, consumed by queue-scorer"},
      {"queue-scorer", "[{pluginRef: metrics-data-source}]", "metrics/core-metrics-extractor"},
      {"kv-cache-utilization-scorer", kClusters, "metrics/core-metrics-extractor"},
      {"multicluster-queue-scorer", kClusters, ""},
      {"multicluster-queue-scorer", kEngines, "metrics/multicluster-metrics-extractor"},
      {"active-request-scorer", "[]", ""},
      {"prefix-cache-scorer", "[]", ""},       // its producer is made, with what that one needs
      {"topology-affinity-scorer", "[]", ""},  // optional: without places all are alike
  };
  for (const Row& row : rows) {
    const std::string said = problem(scraping(fmt::format("- type: {}\n", row.plugin), row.sources));
    EXPECT_EQ(said.empty(), row.missing.empty()) << said << row.plugin;
    EXPECT_THAT(said, HasSubstr(std::string(row.missing))) << row.plugin << row.sources;
  }
}

TEST(Data, ProducersThatNobodyListsAreMadeWithWhatTheyNeed) {
  const std::pair<std::string_view, std::vector<std::string_view>> rows[] = {
      {"prefix-cache-scorer", {"approx-prefix-cache-producer"}},
      {"latency-scorer", {"predicted-latency-producer", "approx-prefix-cache-producer"}},
      {"token-load-scorer", {"inflight-load-producer"}},
      {"mm-embeddings-cache-scorer", {"mm-embeddings-cache-producer"}},
      {"no-hit-lru-scorer", {"approx-prefix-cache-producer"}},
  };
  for (const auto& [type, made] : rows) {
    const auto picker = load(fmt::format("plugins:\n- type: {}\n", type));
    ASSERT_TRUE(picker) << picker.error().text();
    for (const std::string_view producer : made) {
      EXPECT_NE((*picker)->plan().find(producer), nullptr) << type << " needs " << producer;
    }
  }
}

TEST(Data, ProducersRunAfterThoseWhoseDataTheyNeedHoweverTheyAreListed) {
  const auto picker = load(
      "plugins:\n- type: latency-scorer\n- type: predicted-latency-producer\n- type: inflight-load-producer\n"
      "- type: approx-prefix-cache-producer\n- type: prefix-cache-scorer\n");
  ASSERT_TRUE(picker) << picker.error().text();
  std::vector<std::string> order;
  for (const Producer* producer : (*picker)->plan().producers) {
    order.push_back(producer->name);
  }
  const auto place = [&](std::string_view name) { return std::ranges::find(order, name) - order.begin(); };
  EXPECT_LT(place("approx-prefix-cache-producer"), place("predicted-latency-producer"))
      << testing::PrintToString(order);
  EXPECT_LT(place("approx-prefix-cache-producer"), place("inflight-load-producer"));
}

}  // namespace
}  // namespace llmd::picker
