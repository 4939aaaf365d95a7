// Where sessions stay and what they are called, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

const Headers kSession{{{"x-session-id", "s"}}};

// Shorter queues outvote the session, which has a weight of a tenth.
std::string by_id(std::string_view more = "{}") {
  return "plugins:\n- {type: session-affinity-scorer, parameters: {strategy: session_id, sessionIdConfig: " +
         std::string(more) +
         "}}\n- {type: queue-scorer}\n- {type: max-score-picker}\nschedulingProfiles:\n- name: default\n  "
         "plugins: [{pluginRef: session-affinity-scorer, weight: 0.1}, {pluginRef: queue-scorer}, "
         "{pluginRef: "
         "max-score-picker}]\n";
}

TEST(SessionId, ASessionThatWasOutvotedKeepsItsPlace) {
  Pool pool(by_id(), 2);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 9});
  EXPECT_EQ(pool.pick({.headers = kSession}), "e0");
  pool.report(0, {.waiting = 9});
  pool.report(1, {.waiting = 0});
  EXPECT_EQ(pool.pick({.headers = kSession}), "e1") << "outvoted";
  EXPECT_THAT(pool.scores("session-affinity-scorer", {.headers = kSession}), are({0.1, 0}));
}

TEST(SessionId, ASessionMovesWhenItsEndpointIsNoCandidate) {
  Pool pool(by_id(), 2);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 9});
  EXPECT_EQ(pool.pick({.headers = kSession}), "e0");
  const auto all = pool.picker->endpoints()->endpoints;
  EXPECT_TRUE(pool.picker->pick({.headers = kSession}, {&all[0], 1}));
  EXPECT_THAT(pool.scores("session-affinity-scorer", {.headers = kSession}), are({0, 0.1}));
}

TEST(SessionId, TheFirstSourceThatHasAValueCounts) {
  Pool pool(by_id("{sources: [{header: X-First}, {header: X-Second}]}"), 2);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 9});
  const Headers both{{{"x-first", "a"}, {"x-second", "b"}}};
  EXPECT_EQ(pool.pick({.headers = both}), "e0");
  const Headers first{{{"x-first", "a"}}};
  const Headers second{{{"x-second", "b"}}};
  const Headers blank{{{"x-first", ""}, {"x-second", "a"}}};
  EXPECT_THAT(pool.scores("session-affinity-scorer", {.headers = second}), are({0, 0}));
  EXPECT_THAT(pool.scores("session-affinity-scorer", {.headers = first}), are({0.1, 0}));
  EXPECT_THAT(pool.scores("session-affinity-scorer", {.headers = blank}), are({0.1, 0}));
}

TEST(SessionId, IdleSessionsAreForgotten) {
  HandClock clock;
  const auto picker = Picker::from_config(by_id("{evictionTtlSeconds: 60}"), "sessions",
                                          {.load = {.allow_experimental = true, .seed = 7}, .clock = &clock})
                          .value();
  picker->update({{.address = {"10.0.0.0", 1}, .name = "e0"}, {.address = {"10.0.0.1", 1}, .name = "e1"}});
  const auto sticks = [&] {
    EXPECT_TRUE(picker->pick({.headers = kSession}));
    const json::Value last = picker->explain_last(1);
    double best = 0;
    for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
      best = std::max(best, json::double_at(endpoint, "scores[session-affinity-scorer]").value_or(0));
    }
    return best > 0;
  };
  EXPECT_FALSE(sticks());
  clock.pass(std::chrono::seconds(59));
  EXPECT_TRUE(sticks()) << "and is used again";
  clock.pass(std::chrono::seconds(59));
  EXPECT_TRUE(sticks());
  clock.pass(std::chrono::seconds(61));
  EXPECT_FALSE(sticks());
}

TEST(SessionProfile, ThePrefillEndpointMayBeTheOneThatStays) {
  const std::string config = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: random-picker}
- {type: session-affinity-filter, parameters: {strategy: session_id, profileName: prefill}}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: session-affinity-filter}, {pluginRef: random-picker}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: random-picker}]}
)";
  Pool pool(config, 0);
  std::vector<Endpoint> all;
  for (const char* name : {"p0", "p1", "p2", "p3", "d0", "d1", "d2", "d3"}) {
    all.push_back(labelled(name, {{"llm-d.ai/role", name[0] == 'p' ? "prefill" : "decode"}}));
  }
  pool.set(all);
  const std::string first = pool.picker->pick({.headers = kSession})->prefill()->name;
  std::set<std::string> decoded;
  for (int i = 0; i < 40; ++i) {
    const auto decision = pool.picker->pick({.headers = kSession}).value();
    EXPECT_EQ(decision.prefill()->name, first);
    decoded.insert(decision.endpoint().name);
  }
  EXPECT_GT(decoded.size(), 1U);
}

TEST(AgentIdentity, TheFirstHeaderWithAValueNamesTheFlow) {
  struct Row {
    HeaderMap headers;
    std::string_view said;  // by a fairness header; empty: nothing
    const char* flow;
  };
  Pool pool(only("agent-identity", "{additionalSessionHeaders: [X-Mine]}"), 1);
  for (const Row& row : {
           Row{{}, "", "default-flow"},
           Row{{{"session_id", "d"}}, "", "d"},
           Row{{{"session-id", "c"}, {"session_id", "d"}}, "", "c"},
           Row{{{"x-session-affinity", "b"}, {"session-id", "c"}}, "", "b"},
           Row{{{"x-claude-code-session-id", "a"}, {"x-session-affinity", "b"}}, "", "a"},
           Row{{{"x-mine", "m"}, {"x-claude-code-session-id", "a"}}, "", "m"},
           Row{{{"x-mine", "  "}, {"session_id", "d"}}, "", "d"},
           Row{{{"session_id", "d"}}, "tenant", "tenant"},
       }) {
    const Headers headers{row.headers};
    Request request{.headers = headers};
    request.fairness_id = row.said.empty() ? kDefaultFairnessId : row.said;
    const auto decision = pool.picker->pick(request).value();
    EXPECT_EQ(decision.memory.fairness_id.view(), row.flow);
  }
}

}  // namespace
}  // namespace llmd::picker
