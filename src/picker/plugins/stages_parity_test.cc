// Which stages run, and where, as llm-d's own tests state the rules: a table per plugin, seen through
// decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kNear = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: PLUGIN}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: PLUGIN}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";

std::string near_decode(std::string plugin, std::vector<Endpoint> prefill,
                        std::map<std::string, std::string> place) {
  std::string config(kNear);
  for (auto at = config.find("PLUGIN"); at != std::string::npos; at = config.find("PLUGIN")) {
    config.replace(at, 6, plugin);
  }
  place["llm-d.ai/role"] = "decode";
  prefill.push_back(labelled("d", place));
  Pool pool(config, 0);
  pool.set(std::move(prefill));
  const auto decision = pool.picker->pick({.model = "m"});
  return decision && decision->prefill() != nullptr ? decision->prefill()->name : "nobody";
}

TEST(Topology, PrefillGoesNearDecode) {
  const auto prefill = [](std::string name, std::string host, std::string zone) {
    return labelled(name, {{"llm-d.ai/role", "prefill"},
                           {"kubernetes.io/hostname", host},
                           {"topology.kubernetes.io/zone", zone}});
  };
  const std::vector<Endpoint> all{prefill("far", "h1", "z1"), prefill("zone", "h2", "z2"),
                                  prefill("host", "h3", "z2")};
  const std::map<std::string, std::string> place{{"kubernetes.io/hostname", "h3"},
                                                 {"topology.kubernetes.io/zone", "z2"}};
  EXPECT_EQ(near_decode("topology-affinity-scorer", all, place), "host");
  EXPECT_EQ(near_decode("topology-affinity-filter", all, place), "host");
  EXPECT_EQ(near_decode("topology-affinity-scorer", {all[0], all[1]}, place), "zone");
  EXPECT_NE(near_decode("topology-affinity-filter", {all[0], all[1]}, place), "nobody") << "it fails open";
  EXPECT_NE(near_decode("topology-affinity-filter", all, {}), "nobody") << "decode has no place";
}

TEST(HeaderProfileHandler, TheHeaderNamesTheProfile) {
  const std::string config = R"(plugins:
- {type: decode-filter}
- {type: prefill-filter}
- {type: header-profile-handler}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto at = [&pool](std::string profile) {
    const Headers headers{{{"epp-profile", profile}}};
    return pool.pick({.headers = headers});
  };
  EXPECT_EQ(at("prefill"), "p");
  EXPECT_EQ(at("decode"), "d");
  EXPECT_EQ(at("  "), "d") << "blank: the default";
  EXPECT_EQ(at("unknown"), "429");
}

TEST(DisaggProfileHandler, PrefillFirstRunsPrefillWhetherItIsWorthItOrNot) {
  const std::string config = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: disagg-profile-handler, parameters: {stageOrder: Prefill_First}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto both = pool.picker->pick({.model = "m"}).value();
  EXPECT_EQ(both.endpoint().name, "d");
  ASSERT_NE(both.prefill(), nullptr);
  EXPECT_EQ(both.prefill()->name, "p");
  pool.set({labelled("d", {{"llm-d.ai/role", "decode"}})});
  EXPECT_EQ(pool.pick({.model = "m"}), "d") << "its failure is tolerated";
}

TEST(DisaggProfileHandler, MediaAreEncodedElsewhere) {
  const std::string config = R"(plugins:
- {type: encode-filter}
- {type: decode-filter}
- {type: always-disagg-multimodal-decider}
- {type: disagg-profile-handler, parameters: {deciders: {encode: always-disagg-multimodal-decider}}}
schedulingProfiles:
- {name: encode, plugins: [{pluginRef: encode-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set(
      {labelled("fd00::e", {{"llm-d.ai/role", "encode"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto text = pool.picker->pick({.model = "m"}).value();
  EXPECT_EQ(text.headers.find("x-encoder-hosts-ports"), std::nullopt);
  const auto picture = pool.picker->pick({.model = "m", .multimodal = true}).value();
  EXPECT_EQ(picture.headers.find("x-encoder-hosts-ports"), "[fd00::e]:8000");
}

TEST(PrefixBasedDecider, CountsWhatIsNotCached) {
  struct Row {
    const char* parameters;
    std::int64_t tokens;
    bool prefills;
  };
  for (const Row& row : {Row{"{nonCachedTokens: 0}", 10'000, false}, Row{"{nonCachedTokens: 100}", 99, false},
                         Row{"{nonCachedTokens: 100}", 100, true}, Row{"{nonCachedTokens: 100}", 5000, true},
                         Row{"{nonCachedTokens: 100, promptTokens: 200}", 150, false},
                         Row{"{nonCachedTokens: 100, promptTokens: 200}", 200, true}}) {
    Pool pool(
        "plugins:\n- {type: prefill-filter}\n- {type: decode-filter}\n- {type: prefix-based-pd-decider, "
        "parameters: " +
            std::string(row.parameters) +
            "}\n- {type: disagg-profile-handler, parameters: {deciders: {prefill: "
            "prefix-based-pd-decider}}}\n"
            "schedulingProfiles:\n- {name: prefill, plugins: [{pluginRef: prefill-filter}]}\n"
            "- {name: decode, plugins: [{pluginRef: decode-filter}]}\n",
        0);
    pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
    const auto decision = pool.picker->pick({.model = "m", .estimated_tokens = row.tokens}).value();
    EXPECT_EQ(decision.prefill() != nullptr, row.prefills) << row.parameters << " " << row.tokens;
  }
}

TEST(P2pSource, NamesAnEndpointThatHasMoreOfThePrompt) {
  Pool pool(
      "plugins: [{type: queue-scorer}, {type: max-score-picker}, {type: prefix-cache-scorer}, {type: "
      "p2p-source-producer, "
      "parameters: {minCachedTokenDelta: 100}}]\nschedulingProfiles: [{name: default, plugins: "
      "[{pluginRef: queue-scorer}, {pluginRef: max-score-picker}]}]\n",
      2);
  const Prompt prompt(8);
  warm(pool, prompt, 1);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 9});
  const Headers forged{{{"x-kv-cache-source-host-port", "evil:1"}}};
  Request request = prompt.request();
  request.headers = forged;
  const auto decision = pool.picker->pick(request).value();
  EXPECT_EQ(decision.endpoint().name, "e0");
  EXPECT_EQ(decision.headers.find("x-kv-cache-source-host-port"), "10.0.0.1:8000");
  const Prompt unknown(8, 9);
  Request cold = unknown.request();
  cold.headers = forged;
  const auto nothing = pool.picker->pick(cold).value();
  EXPECT_EQ(nothing.headers.find("x-kv-cache-source-host-port"), std::nullopt);
  EXPECT_TRUE(nothing.headers.edits()[0].remove) << "clients do not choose it";
}

}  // namespace
}  // namespace llmd::picker
