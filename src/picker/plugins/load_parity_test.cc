// What is in flight, whatever happens to requests and endpoints, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

std::string inflight(std::string_view parameters = "{}") {
  return "plugins: [{type: inflight-load-producer, parameters: " + std::string(parameters) +
         "}, {type: prefix-cache-scorer}, {type: max-score-picker}]\n";
}

Request request(std::int64_t tokens) {
  return {.id = "r", .model = "m", .estimated_tokens = tokens};
}

constexpr std::string_view kStages = R"(plugins:
- {type: inflight-load-producer}
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";

TEST(InflightLoad, EveryStageCountsAndPrefillEndsWithTheFirstByte) {
  Pool pool(kStages, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto p = pool.picker->endpoints()->endpoints[0];
  const auto d = pool.picker->endpoints()->endpoints[1];
  auto decision = pool.picker->pick(request(100)).value();
  EXPECT_EQ(p->running(), 1);
  EXPECT_EQ(p->tokens(), 100);
  EXPECT_EQ(d->running(), 1);
  EXPECT_EQ(d->tokens(), 100);
  decision.first_token();
  EXPECT_EQ(p->running(), 0) << "completely";
  EXPECT_EQ(p->tokens(), 0);
  EXPECT_EQ(d->running(), 1);
  EXPECT_EQ(d->tokens(), 0);
  decision.complete({});
  EXPECT_EQ(d->running(), 0);
  EXPECT_EQ(p->running(), 0) << "once";
}

TEST(InflightLoad, EveryEndOfARequestGivesAllBack) {
  Pool pool(kStages, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto all = pool.picker->endpoints()->endpoints;
  for (const EndCause cause :
       {EndCause::Natural, EndCause::ClientGone, EndCause::Evicted, EndCause::Failed}) {
    for (const bool began : {false, true}) {
      auto decision = pool.picker->pick(request(100)).value();
      if (began) {
        decision.first_token();
      }
      decision.complete({.cause = cause});
      decision.first_token();
      decision.complete({.cause = cause});
      for (const EndpointPtr& endpoint : all) {
        EXPECT_EQ(endpoint->running(), 0);
        EXPECT_EQ(endpoint->tokens(), 0);
      }
    }
  }
}

TEST(InflightLoad, AnEndpointThatComesBackUnderItsNameStartsAtNothing) {
  Pool pool(inflight(), 1);
  const Endpoint self = *pool.picker->endpoints()->described[0];
  const auto before = pool.picker->endpoints()->endpoints[0];
  auto one = pool.picker->pick(request(100)).value();
  auto two = pool.picker->pick(request(50)).value();
  for (int flap = 0; flap < 3; ++flap) {
    pool.set({});
    pool.set({self});
  }
  const auto back = pool.picker->endpoints()->endpoints[0];
  EXPECT_EQ(back->running(), 0) << "it is another process";
  auto three = pool.picker->pick(request(7)).value();
  one.complete({});
  two.first_token();
  two.complete({});
  EXPECT_EQ(back->running(), 1) << "the end of an old request is not that of a new one";
  EXPECT_EQ(back->tokens(), 7);
  EXPECT_EQ(before->running(), 0);
  EXPECT_EQ(before->tokens(), 0);
}

TEST(InflightLoad, AnUpdateThatChangesNothingForgetsNothing) {
  Pool pool(inflight(), 2);
  auto all = pool.picker->endpoints()->endpoints;
  auto decision = pool.picker->pick(request(100)).value();
  std::vector<Endpoint> same{*all[0]->described(), *all[1]->described()};
  pool.set(same);
  EXPECT_EQ(pool.picker->endpoints()->running(), 1);
  std::ranges::reverse(same);
  pool.set(same);
  EXPECT_EQ(pool.picker->endpoints()->running(), 1);
  decision.complete({});
  EXPECT_EQ(pool.picker->endpoints()->running(), 0);
}

TEST(InflightLoad, UnknownPromptsWeighNothing) {
  Pool pool(inflight("{addEstimatedOutputTokens: true}"), 1);
  const auto decision = pool.picker->pick({.model = "m"}).value();
  EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->tokens(), 0);
  EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->running(), 1);
}

TEST(InflightLoad, ScorersAndDetectorsSeeTheSameRequests) {
  Pool pool(
      "plugins: [{type: inflight-load-producer}, {type: active-request-scorer}, {type: concurrency-detector, "
      "parameters: {maxConcurrency: 2}}, {type: max-score-picker}]\nsaturationDetector: {pluginRef: "
      "concurrency-detector}\nschedulingProfiles: [{name: default, plugins: [{pluginRef: "
      "active-request-scorer}, {pluginRef: max-score-picker}]}]\n",
      1);
  std::vector<Decision> running;
  Request sheddable = request(10);
  sheddable.priority = -1;
  for (int i = 0; i < 2; ++i) {
    running.push_back(pool.picker->pick(sheddable).value());
  }
  EXPECT_FALSE(pool.picker->pick(sheddable));
  EXPECT_THAT(pool.scores("active-request-scorer", request(10)), are({0}));
  running.pop_back();
  EXPECT_TRUE(pool.picker->pick(sheddable)) << "one has ended";
  running.clear();
  EXPECT_THAT(pool.scores("active-request-scorer", request(10)), are({1}));
}

TEST(InflightLoad, SeveralProducersAgree) {
  Pool pool(
      "plugins: [{type: inflight-load-producer}, {name: other, type: inflight-load-producer}, {type: "
      "active-request-scorer, parameters: {inFlightLoadProducerName: other}}]\n",
      1);
  const auto decision = pool.picker->pick(request(100)).value();
  EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->running(), 1) << "a request is counted once";
  EXPECT_EQ(pool.picker->endpoints()->endpoints[0]->tokens(), 100);
}

TEST(InflightLoad, ParametersHaveBounds) {
  EXPECT_FALSE(Picker::from_config(inflight("{outputRatio: -1}"), "wrong"));
  EXPECT_TRUE(Picker::from_config(inflight("{syncCrossReplicaState: false}"), "right"));
}

TEST(InflightLoad, IsOnThePageByEndpoint) {
  metrics::Registry registry;
  const auto picker = Picker::from_config(inflight(), "load", {.metrics = &registry}).value();
  picker->update({{.address = {"10.0.0.1", 1}, .name = "e", .namespace_ = "n"}});
  const auto value = [&](std::string_view name) {
    return metrics::parse_exposition(registry.write_text())
        ->value(name, {{"endpoint_name", "e"}, {"namespace", "n"}});
  };
  auto decision = picker->pick(request(100)).value();
  EXPECT_EQ(value("llm_d_epp_inflight_requests"), 1);
  EXPECT_EQ(value("llm_d_epp_inflight_tokens"), 100);
  decision.complete({});
  EXPECT_EQ(value("llm_d_epp_inflight_requests"), 0);
  EXPECT_EQ(value("llm_d_epp_inflight_tokens"), 0);
}

}  // namespace
}  // namespace llmd::picker
