// Stages and where they take place, at the edges, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

std::string stages(std::string_view handler, std::string_view more = "", std::string_view prefill = "prefill",
                   std::string_view decode = "decode") {
  return fmt::format(
      R"(plugins:
- {{type: prefill-filter}}
- {{type: decode-filter}}
- {{type: encode-filter}}
- {{type: always-disagg-pd-decider}}
- {{type: always-disagg-multimodal-decider}}
{}- {{type: disagg-profile-handler, parameters: {}}}
schedulingProfiles:
- {{name: {}, plugins: [{{pluginRef: prefill-filter}}]}}
- {{name: {}, plugins: [{{pluginRef: decode-filter}}]}}
- {{name: encode, plugins: [{{pluginRef: encode-filter}}, {{pluginRef: wide}}]}}
)",
      std::string(more) + "- {name: wide, type: random-picker, parameters: {maxNumOfEndpoints: 2}}\n",
      handler, prefill, decode);
}

std::vector<Endpoint> pods(std::initializer_list<const char*> names) {
  std::vector<Endpoint> all;
  for (const char* name : names) {
    const char* role = name[0] == 'p' ? "prefill" : name[0] == 'd' ? "decode" : "encode";
    all.push_back(labelled(name, {{"llm-d.ai/role", role}}));
  }
  return all;
}

// "decode prefill encode,encode", "-" for a stage that did not run.
std::string stages_of(Pool& pool, const Request& request) {
  const auto decision = pool.picker->pick(request);
  if (!decision) {
    return std::to_string(decision.error().status);
  }
  std::string encode;
  for (const Lease& lease : decision->encode_leases) {
    encode += (encode.empty() ? "" : ",") + lease.endpoint()->endpoint.name;
  }
  return fmt::format("{} {} {}", decision->endpoint().name,
                     decision->prefill() != nullptr ? decision->prefill()->name : "-",
                     encode.empty() ? "-" : encode);
}

constexpr std::string_view kBoth =
    "{deciders: {prefill: always-disagg-pd-decider, encode: always-disagg-multimodal-decider}}";

TEST(Stages, RunAsTheirDecidersSayAndWhereThereIsSomebody) {
  struct Row {
    std::string_view handler;
    std::vector<Endpoint> pods;
    bool picture;
    const char* stages;
  };
  for (const Row& row : {
           Row{kBoth, pods({"p", "d", "e"}), false, "d p -"},
           Row{kBoth, pods({"p", "d", "e"}), true, "d p e"},
           Row{kBoth, pods({"d", "e"}), true, "d - e"},
           Row{kBoth, pods({"p", "d"}), true, "d p -"},
           Row{kBoth, pods({"d"}), true, "d - -"},
           Row{kBoth, pods({"p", "e"}), true, "429"},
           Row{"{}", pods({"p", "d", "e"}), true, "d - -"},
           Row{"{deciders: {prefill: always-disagg-pd-decider}}", pods({"p", "d", "e"}), true, "d p -"},
           Row{"{deciders: {encode: always-disagg-multimodal-decider}}", pods({"p", "d", "e"}), true,
               "d - e"},
           Row{"{stageOrder: prefill-first}", pods({"p", "d", "e"}), true, "d p -"},
           Row{"{stageOrder: prefill_first, deciders: {encode: always-disagg-multimodal-decider}}",
               pods({"p", "d", "e"}), true, "d p e"},
           Row{"{stageOrder: PREFILL}", pods({"d"}), false, "d - -"},
           Row{"{prefillDeciderPluginName: always-disagg-pd-decider}", pods({"p", "d"}), false, "d p -"},
           Row{"{deciderPluginName: always-disagg-pd-decider}", pods({"p", "d"}), false, "d p -"},
       }) {
    Pool pool(stages(row.handler), 0);
    pool.set(row.pods);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(stages_of(pool, {.model = "m", .multimodal = row.picture}), row.stages) << row.handler;
    }
  }
}

TEST(Stages, MayHaveOtherNames) {
  for (const char* handler :
       {"{profiles: {prefill: first, decode: second}, deciders: {prefill: always-disagg-pd-decider}}",
        "{prefillProfile: first, decodeProfile: second, deciderPluginName: always-disagg-pd-decider}"}) {
    Pool pool(stages(handler, "", "first", "second"), 0);
    pool.set(pods({"p", "d"}));
    EXPECT_EQ(stages_of(pool, {.model = "m"}), "d p -") << handler;
  }
}

TEST(Stages, ContradictionsAreRefused) {
  for (const char* wrong : {"{deciders: {prefill: always-disagg-pd-decider}, decodeProfile: decode}",
                            "{stageOrder: prefill-first, deciders: {prefill: always-disagg-pd-decider}}",
                            "{stageOrder: sideways}", "{deciders: {prefill: nobody}}",
                            "{deciders: {prefill: decode-filter}}", "{profiles: {decode: missing}}"}) {
    EXPECT_FALSE(Picker::from_config(stages(wrong), "wrong", {.load = {.allow_experimental = true}}))
        << wrong;
  }
}

TEST(Stages, SeveralEncodersAreAllNamed) {
  Pool pool(stages(kBoth), 0);
  pool.set(pods({"d", "e0", "e1", "e2"}));
  const Headers forged{{{"x-encoder-hosts-ports", "evil:1"}, {"x-prefiller-host-port", "evil:2"}}};
  const auto decision = pool.picker->pick({.model = "m", .headers = forged, .multimodal = true}).value();
  EXPECT_EQ(decision.encode_leases.size(), 2U);
  const auto named = decision.headers.find("x-encoder-hosts-ports").value();
  EXPECT_EQ(std::ranges::count(named, ','), 1);
  EXPECT_THAT(std::string(named), testing::ContainsRegex("e[0-2]:8000,e[0-2]:8000"));
  EXPECT_EQ(decision.headers.find("x-prefiller-host-port"), std::nullopt);
}

TEST(Stages, AnOlderHandlerForHeadersChangesNothing) {
  for (const char* older : {"disagg-headers-handler", "prefill-header-handler"}) {
    Pool pool(stages(kBoth, fmt::format("- {{type: {}}}\n", older)), 0);
    pool.set(pods({"p", "d", "e"}));
    const auto decision = pool.picker->pick({.model = "m", .multimodal = true}).value();
    EXPECT_EQ(decision.headers.find("x-prefiller-host-port"), "p:8000");
    EXPECT_EQ(decision.headers.find("x-encoder-hosts-ports"), "e:8000");
  }
}

TEST(Stages, ASeriesOfEqualRequestsIsPrefilledOnce) {
  Pool pool(R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: prefix-based-pd-decider, parameters: {nonCachedTokens: 64}}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: prefix-based-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)",
            0);
  pool.set(pods({"p", "d"}));
  const Prompt prompt(8);
  const Prompt longer = [&] {
    Prompt grown = prompt;
    grown.units.resize(10 * 4, 77);
    return grown;
  }();
  const Prompt short_one(1, 3);
  Request unsized = prompt.request();
  unsized.estimated_tokens = 512;
  EXPECT_EQ(stages_of(pool, unsized), "d p -");
  // The index learns a moment later.
  pool.scores("any", unsized);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(stages_of(pool, unsized), "d - -");
  }
  Request grown = longer.request();
  grown.estimated_tokens = 640;
  EXPECT_EQ(stages_of(pool, grown), "d p -") << "128 tokens are new";
  Request brief = short_one.request();
  brief.estimated_tokens = 10;
  EXPECT_EQ(stages_of(pool, brief), "d - -");
}

TEST(HeaderProfile, OneProfileNeedsNoHeaderAndAMissingDefaultIs429) {
  const Headers other{{{"epp-profile", "other"}}};
  Pool one("plugins: [{type: queue-scorer}, {type: header-profile-handler}]\n", 1);
  EXPECT_EQ(one.pick({.headers = other}), "e0");
  Pool several(R"(plugins:
- {type: queue-scorer}
- {type: header-profile-handler, parameters: {headerName: X-Way, defaultProfile: nowhere}}
schedulingProfiles:
- {name: a, plugins: [{pluginRef: queue-scorer}]}
- {name: b, plugins: [{pluginRef: queue-scorer}]}
)",
               1);
  const auto rejected = several.picker->pick({.id = "r1"});
  ASSERT_FALSE(rejected);
  EXPECT_EQ(rejected.error().status, 429);
  EXPECT_EQ(rejected.error().message,
            "failed to find target endpoint: failed to run any scheduler profile for request r1");
  EXPECT_EQ(rejected.error().reason, "");
  const Headers named{{{"x-way", "b"}}};
  EXPECT_EQ(several.pick({.headers = named}), "e0");
}

// Near: which prefill endpoints a filter leaves for a decode endpoint on host h, rack r, zone z.
TEST(TopologyFilter, LeavesWhoIsNearEnough) {
  struct Row {
    const char* least;
    std::set<std::string> chosen;
  };
  const auto place = [](std::string role, std::string host, std::string rack, std::string zone,
                        std::string region) {
    return std::map<std::string, std::string>{{"llm-d.ai/role", std::move(role)},
                                              {"kubernetes.io/hostname", std::move(host)},
                                              {"topology.kubernetes.io/rack", std::move(rack)},
                                              {"topology.kubernetes.io/zone", std::move(zone)},
                                              {"topology.kubernetes.io/region", std::move(region)}};
  };
  for (const Row& row : {Row{"host", {"host"}}, Row{"zone", {"host", "rack", "zone"}},
                         Row{"region", {"host", "rack", "zone", "region"}}}) {
    Pool pool(fmt::format(R"(plugins:
- {{type: prefill-filter}}
- {{type: decode-filter}}
- {{type: always-disagg-pd-decider}}
- {{type: topology-extractor, parameters: {{rack: topology.kubernetes.io/rack}}}}
- {{type: topology-affinity-filter, parameters: {{minAffinity: {}}}}}
- {{type: random-picker}}
- {{type: disagg-profile-handler, parameters: {{deciders: {{prefill: always-disagg-pd-decider}}}}}}
schedulingProfiles:
- {{name: prefill, plugins: [{{pluginRef: prefill-filter}}, {{pluginRef: topology-affinity-filter}}, {{pluginRef: random-picker}}]}}
- {{name: decode, plugins: [{{pluginRef: decode-filter}}, {{pluginRef: random-picker}}]}}
)",
                          row.least),
              0);
    pool.set({labelled("d", place("decode", "h", "r", "z", "g")),
              labelled("host", place("prefill", "h", "r", "z", "g")),
              labelled("rack", place("prefill", "h2", "r", "z", "g")),
              labelled("zone", place("prefill", "h3", "r2", "z", "g")),
              labelled("region", place("prefill", "h4", "r3", "z2", "g")),
              labelled("far", place("prefill", "h5", "r4", "z3", "g2")),
              labelled("nowhere", {{"llm-d.ai/role", "prefill"}})});
    std::set<std::string> chosen;
    for (int i = 0; i < 100; ++i) {
      chosen.insert(pool.picker->pick({.model = "m"})->prefill()->name);
    }
    EXPECT_EQ(chosen, row.chosen) << row.least;
  }
}

}  // namespace
}  // namespace llmd::picker
