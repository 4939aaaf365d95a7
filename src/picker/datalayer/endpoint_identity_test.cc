// Which changes make another endpoint, and what an endpoint keeps through all others.
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kGold = R"(plugins:
- {type: label-selector-filter, parameters: {matchLabels: {tier: gold}}}
- type: prefix-cache-scorer
)";

Endpoint member(std::string name, std::string tier, std::string uid = "u1") {
  Endpoint endpoint = labelled(std::move(name), {{"tier", std::move(tier)}});
  endpoint.uid = std::move(uid);
  return endpoint;
}

struct Change {
  const char* what;
  void (*make)(Endpoint&);
};

TEST(EndpointIdentity, WhateverIsSaidAboutAnEndpointItKeepsItsRequestsNumbersAndPrefixes) {
  const Change changes[] = {
      {"a label more", [](Endpoint& endpoint) { endpoint.labels["canary"] = "yes"; }},
      {"another value", [](Endpoint& endpoint) { endpoint.labels["canary"] = "no"; }},
      {"a label less", [](Endpoint& endpoint) { endpoint.labels.erase("canary"); }},
      {"a hostname", [](Endpoint& endpoint) { endpoint.hostname = "h"; }},
      {"another machine's address", [](Endpoint& endpoint) { endpoint.node = "192.168.0.9"; }},
      {"another place of metrics", [](Endpoint& endpoint) { endpoint.metrics = {"10.9.9.9", 9}; }},
      {"the pod's name", [](Endpoint& endpoint) { endpoint.pod = "p"; }},
  };
  Pool pool(kGold, 0);
  Endpoint a = member("a", "gold");
  const Endpoint b = member("b", "gold");
  pool.set({a, b});
  const Prompt prompt(4);
  warm(pool, prompt, 0);
  pool.report(0, {.waiting = 4});
  const auto state = pool.picker->endpoints()->endpoints[0];
  const Lease lease(state, 100);
  for (const Change& change : changes) {
    change.make(a);
    pool.set({b, a});
    const auto now = pool.picker->endpoints();
    EXPECT_EQ(now->endpoints[1], state) << change.what;
    EXPECT_EQ(*now->described[1], a) << change.what;
    EXPECT_EQ(*state->described(), a) << change.what;
    EXPECT_EQ(state->running(), 1) << change.what;
    EXPECT_EQ(state->tokens(), 100) << change.what;
    EXPECT_EQ(state->numbers().waiting, 4) << change.what;
    EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({0, 1})) << change.what;
  }
}

TEST(EndpointIdentity, FiltersGoByTheNewLabelAndOldSnapshotsByTheOldOne) {
  Pool pool(kGold, 0);
  pool.set({member("a", "silver"), member("b", "gold")});
  const auto before = pool.picker->endpoints();
  EXPECT_EQ(left(pool), "b");
  pool.set({member("a", "gold"), member("b", "silver")});
  EXPECT_EQ(left(pool), "a");
  EXPECT_EQ(*before->described[0]->label("tier"), "silver");
  EXPECT_EQ(before->masks[0] & 1, 0) << "a decision under way sees one list, not half of the next";
  EXPECT_EQ(pool.picker->endpoints()->endpoints, before->endpoints);
  const json::Value debug = pool.picker->debug_state();
  EXPECT_EQ(json::string_at(debug, "endpoints[0].labels.tier"), "gold");
}

TEST(EndpointIdentity, AnotherPodAtTheAddressIsAnotherEndpointWithColdCaches) {
  const Change changes[] = {
      {"uid", [](Endpoint& endpoint) { endpoint.uid = "u2"; }},
      {"name", [](Endpoint& endpoint) { endpoint.name = "other"; }},
      {"namespace", [](Endpoint& endpoint) { endpoint.namespace_ = "other"; }},
      {"rank", [](Endpoint& endpoint) { endpoint.rank = 1; }},
      {"port", [](Endpoint& endpoint) { endpoint.address.port = 8001; }},
      {"address", [](Endpoint& endpoint) { endpoint.address.host = "10.9.9.9"; }},
  };
  for (const Change& change : changes) {
    Pool pool(kGold, 0);
    Endpoint a = member("a", "gold");
    pool.set({a});
    const Prompt prompt(4);
    const auto running = pool.picker->pick(prompt.request()).value();
    EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({1}));
    pool.report(0, {.waiting = 4});
    const auto old = pool.picker->endpoints()->endpoints[0];
    change.make(a);
    pool.set({a});
    const auto now = pool.picker->endpoints()->endpoints[0];
    EXPECT_NE(now, old) << change.what;
    EXPECT_NE(now->id, old->id) << change.what;
    EXPECT_EQ(old->running(), 1) << change.what;
    EXPECT_EQ(now->running(), 0) << change.what;
    EXPECT_EQ(now->numbers().waiting, 0) << change.what;
    EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({0})) << change.what;
  }
}

TEST(EndpointIdentity, APodThatFlapsIsCountedOnWhileItsRequestsRun) {
  Pool pool(kGold, 0);
  const Endpoint a = member("a", "gold");
  pool.set({a});
  auto running = pool.picker->pick({.estimated_tokens = 100}).value();
  for (int flap = 0; flap < 10; ++flap) {
    pool.set({});
    pool.set({});
    pool.set({a});
    const auto back = pool.picker->endpoints()->endpoints[0];
    EXPECT_EQ(back->running(), 1);
    EXPECT_EQ(back->tokens(), 100);
  }
  running.complete({});
  const auto idle = pool.picker->endpoints()->endpoints[0];
  EXPECT_EQ(idle->running(), 0);
  pool.set({});
  pool.set({a});
  EXPECT_NE(pool.picker->endpoints()->endpoints[0], idle) << "nothing is left to be counted on";
}

TEST(EndpointIdentity, WhatAFlapLeavesOfACacheIsNotTrusted) {
  Pool pool(kGold, 0);
  const Endpoint a = member("a", "gold");
  pool.set({a});
  const Prompt prompt(4);
  const auto running = pool.picker->pick(prompt.request()).value();
  pool.set({});
  pool.set({a});
  EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({0}))
      << "its engine may have been restarted meanwhile";
}

TEST(EndpointIdentity, ANumberIsNotGivenAgainWhileRequestsReferToIt) {
  for (const char* uid : {"", "u1"}) {
    Pool pool(kGold, 0);
    pool.set({member("a", "gold", uid)});
    const auto a = pool.picker->endpoints()->endpoints[0];
    const Lease lease(a);
    for (int round = 0; round < 3; ++round) {
      pool.set({member("b", "gold", "")});
      EXPECT_NE(pool.picker->endpoints()->endpoints[0]->id, a->id);
      pool.set({member("a", "gold", "another")});
      EXPECT_NE(pool.picker->endpoints()->endpoints[0]->id, a->id);
    }
  }
}

TEST(EndpointIdentity, WhoIsListedTwiceIsOne) {
  Pool pool(kGold, 0);
  Endpoint again = member("a", "silver");
  pool.set({member("a", "gold"), again, member("b", "gold")});
  const auto all = pool.picker->endpoints();
  ASSERT_EQ(all->endpoints.size(), 2);
  EXPECT_EQ(*all->described[0]->label("tier"), "gold") << "what is said first counts";
  EXPECT_EQ(left(pool), "a b");
}

}  // namespace
}  // namespace llmd::picker
