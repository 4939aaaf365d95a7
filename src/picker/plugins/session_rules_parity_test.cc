// Sessions at the edges: races, names, stages that did not run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

const Headers kSession{{{"x-session-id", "s"}}};

TEST(SessionRace, RequestsThatBeginTogetherEndWithOneBinding) {
  constexpr int kThreads = 4;
  Pool pool(only("session-affinity-filter", "{strategy: session_id}"), 8);
  for (int session = 0; session < 50; ++session) {
    const Headers headers{{{"x-session-id", std::to_string(session)}}};
    std::barrier together(kThreads);
    std::array<std::string, kThreads> afterwards;
    std::vector<std::jthread> clients;
    for (std::string& mine : afterwards) {
      clients.emplace_back([&] {
        together.arrive_and_wait();
        pool.pick({.headers = headers});
        together.arrive_and_wait();
        mine = pool.pick({.headers = headers});
      });
    }
    clients.clear();
    EXPECT_THAT(afterwards, testing::Each(afterwards.front()));
  }
}

constexpr std::string_view kPrefillBound = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: prefix-based-pd-decider, parameters: {nonCachedTokens: 100}}
- {type: random-picker}
- {type: session-affinity-filter, parameters: {STRATEGYprofileName: prefill}}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: prefix-based-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: session-affinity-filter}, {pluginRef: random-picker}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: random-picker}]}
)";

Pool prefill_bound(std::string_view strategy) {
  std::string config(kPrefillBound);
  config.replace(config.find("STRATEGY"), 8, strategy);
  Pool pool(config, 0);
  std::vector<Endpoint> all;
  for (const char* name : {"p0", "p1", "p2", "p3", "d0", "d1"}) {
    all.push_back(labelled(name, {{"llm-d.ai/role", name[0] == 'p' ? "prefill" : "decode"}}));
  }
  pool.set(all);
  return pool;
}

TEST(SessionProfile, WhatIsNotPrefilledBindsNothing) {
  Pool pool = prefill_bound("strategy: session_id, ");
  const auto ask = [&](std::int64_t tokens) {
    const auto decision = pool.picker->pick({.headers = kSession, .estimated_tokens = tokens}).value();
    return decision.prefill() != nullptr ? decision.prefill()->name : std::string("none");
  };
  EXPECT_EQ(ask(10), "none");
  const std::string first = ask(1000);
  EXPECT_EQ(ask(10), "none") << "and does not forget either";
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ask(1000), first);
  }
}

TEST(SessionProfile, ATokenIsThatOfTheStageOrAbsent) {
  Pool pool = prefill_bound("");
  for (const std::int64_t tokens : {10, 1000}) {
    auto decision = pool.picker->pick({.estimated_tokens = tokens}).value();
    HeaderEdits edits;
    decision.response_headers(200, {}, edits);
    const auto token = edits.find("x-session-token");
    ASSERT_EQ(token.has_value(), tokens == 1000);
    if (token) {
      const Headers sent{{{"x-session-token", std::string(*token)}}};
      EXPECT_EQ(pool.picker->pick({.headers = sent, .estimated_tokens = 1000})->prefill()->name,
                decision.prefill()->name);
    }
  }
}

TEST(SessionToken, EveryAnswerNamesWhoServedIt) {
  Pool pool(only("session-affinity-filter", "{encodedEndpointHeaderConfig: {header: X-Mine}}"), 3);
  const Headers gone{{{"x-mine", "ZGVmYXVsdC9nb25l"}}};  // default/gone
  auto decision = pool.picker->pick({.headers = gone}).value();
  HeaderEdits edits;
  decision.response_headers(200, {}, edits);
  const auto token = edits.find("x-mine");
  ASSERT_TRUE(token);
  const Headers sent{{{"x-mine", std::string(*token)}}};
  EXPECT_EQ(pool.pick({.headers = sent}), decision.endpoint().name);
}

TEST(SessionIdProducer, ReadsAHeaderOrACookie) {
  struct Row {
    const char* parameters;
    HeaderMap headers;
    bool found;
  };
  for (const Row& row : {Row{"{headerName: X-User}", {{"x-user", "u"}}, true},
                         Row{"{headerName: X-User}", {{"x-user", ""}}, false},
                         Row{"{headerName: X-User}", {{"cookie", "x-user=u"}}, false},
                         Row{"{cookieName: sid}", {{"cookie", "a=b; sid=u; c=d"}}, true},
                         Row{"{cookieName: sid}", {{"cookie", "SID=u; xsid=u"}}, false},
                         Row{"{cookieName: sid}", {{"sid", "u"}}, false}}) {
    Pool pool("plugins:\n- {type: session-id-producer, parameters: " + std::string(row.parameters) +
                  "}\n- {type: session-affinity-filter, parameters: {strategy: session_id, sessionIdConfig: "
                  "{sources: [{attribute: SessionID, producer: session-id-producer}]}}}\n",
              16);
    const Headers headers{row.headers};
    std::set<std::string> served;
    for (int i = 0; i < 20; ++i) {
      served.insert(pool.pick({.headers = headers}));
    }
    EXPECT_EQ(served.size() == 1, row.found) << row.parameters << " " << served.size();
  }
}

TEST(SessionIdProducer, NeedsExactlyOneSource) {
  for (const char* wrong : {"{}", "{headerName: a, cookieName: b}"}) {
    EXPECT_FALSE(Picker::from_config(only("session-id-producer", wrong), "session")) << wrong;
  }
}

}  // namespace
}  // namespace llmd::picker
