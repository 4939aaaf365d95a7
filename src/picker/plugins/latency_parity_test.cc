// Predictions and who acts on them, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;

// A picker whose engines take 100 ms to the first token and 20 ms for each further one.
struct Trained {
  explicit Trained(std::string_view plugins, std::vector<Endpoint> endpoints) {
    auto made = Picker::from_config(plugins, "latency",
                                    {.load = {.allow_experimental = true, .seed = 7}, .clock = &clock});
    EXPECT_TRUE(made) << made.error().text();
    picker = std::move(*made);
    picker->update(std::move(endpoints));
  }
  Decision begin(bool stream = true) {
    return picker->pick({.id = "r", .model = "m", .stream = stream, .estimated_tokens = 100}).value();
  }
  void serve(bool stream = true) {
    Decision decision = begin(stream);
    clock.pass(milliseconds(100));
    decision.first_token();
    clock.pass(milliseconds(20 * 9));
    decision.complete({.usage = {.prompt_tokens = 100, .completion_tokens = 10}});
  }
  void train(int requests = 40) {
    for (int i = 0; i < requests; ++i) {
      serve();
    }
  }
  std::int64_t samples(std::string_view which) const {
    const json::Value state = picker->debug_state();
    return json::int_at(state, "plugins[predicted-latency-producer].state." + std::string(which))
        .value_or(-1);
  }
  std::string left(const HeaderMap& headers) {
    const Headers view{headers};
    if (!picker->pick({.id = "r", .model = "m", .headers = view, .stream = true, .estimated_tokens = 100})) {
      return "nobody";
    }
    const json::Value last = picker->explain_last(1);
    std::string names;
    for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
      const std::string_view full = *json::string_at(endpoint, "name");
      names += (names.empty() ? "" : " ") + std::string(full.substr(full.find('/') + 1));
    }
    return names;
  }
  HandClock clock;
  std::unique_ptr<Picker> picker;
};

std::string tiers(std::string_view parameters) {
  return "plugins: [{type: predicted-latency-producer, parameters: " + std::string(parameters) +
         "}, {type: slo-headroom-tier-filter, parameters: {epsilonExploreNeg: 0}}]\n";
}

std::vector<Endpoint> of_both_roles() {
  return {labelled("p", {{"role", "prefill"}}), labelled("d", {{"role", "decode"}})};
}

TEST(PredictedLatency, OnlyStreamsOfOtherThanPrefillAreJudgedByTheirTokens) {
  struct Row {
    const char* parameters;
    HeaderMap objectives;
    const char* left;
  };
  const HeaderMap slow_tokens{{"x-llm-d-slo-ttft-ms", "1000"}, {"x-llm-d-slo-tpot-ms", "1"}};
  const HeaderMap older_names{{"x-slo-ttft-ms", "1000"}, {"x-slo-tpot-ms", "1"}};
  for (const Row& row : {
           Row{"{streamingMode: true, endpointRoleLabel: role}", slow_tokens, "p"},
           Row{"{streamingMode: true, endpointRoleLabel: role}", older_names, "p"},
           Row{"{streamingMode: true}", slow_tokens, "p d"},
           Row{"{endpointRoleLabel: role}", slow_tokens, "p d"},
           Row{"{streamingMode: true, endpointRoleLabel: role, sloBufferFactor: 100}", slow_tokens, "p d"},
       }) {
    Trained trained(tiers(row.parameters), of_both_roles());
    trained.train();
    EXPECT_EQ(trained.left(row.objectives), row.left) << row.parameters;
  }
}

TEST(PredictedLatency, NothingIsPredictedBeforeEnoughIsLearned) {
  Trained trained(tiers("{streamingMode: true, endpointRoleLabel: role}"), of_both_roles());
  EXPECT_EQ(trained.left({{"x-llm-d-slo-ttft-ms", "1"}, {"x-llm-d-slo-tpot-ms", "1"}}), "p d");
}

TEST(PredictedLatency, WhoLeavesOrFailsTeachesNothing) {
  Trained trained(tiers("{streamingMode: true}"), of_both_roles());
  trained.serve();
  EXPECT_EQ(trained.samples("ttftSamples"), 1);
  EXPECT_EQ(trained.samples("tpotSamples"), 1);
  {
    const Decision abandoned = trained.begin();
    trained.clock.pass(milliseconds(100));
  }
  Decision evicted = trained.begin();
  evicted.complete({.cause = EndCause::Evicted});
  Decision refused = trained.begin();
  HeaderEdits edits;
  refused.response_headers(503, {}, edits);
  refused.complete({.status = 503});
  EXPECT_EQ(trained.samples("ttftSamples"), 1);
  EXPECT_EQ(trained.samples("tpotSamples"), 1);
  // What was seen before a client left counts: the first token had come.
  Decision halfway = trained.begin();
  trained.clock.pass(milliseconds(100));
  halfway.first_token();
  halfway.complete({.cause = EndCause::ClientGone});
  EXPECT_EQ(trained.samples("ttftSamples"), 2);
  EXPECT_EQ(trained.samples("tpotSamples"), 1);
}

TEST(PredictedLatency, AnAnswerAtOnceTeachesItsWholeTime) {
  Trained trained(tiers("{}"), of_both_roles());
  trained.serve(false);
  EXPECT_EQ(trained.samples("ttftSamples"), 1);
  EXPECT_EQ(trained.samples("tpotSamples"), 0);
}

TEST(PredictedLatency, ItMayKnowWhatHasToBeEncoded) {
  for (const bool looks : {false, true}) {
    Trained trained(fmt::format("plugins: [{{type: predicted-latency-producer, parameters: "
                                "{{useEncoderCacheFeatures: {}}}}}, {{type: slo-headroom-tier-filter, "
                                "parameters: {{epsilonExploreNeg: 0}}}}]\n",
                                looks),
                    of_both_roles());
    // A picture that nobody has encoded takes a second.
    std::map<std::string, std::set<std::uint64_t>> encoded;
    const auto serve = [&](const openai::MediaItem& picture) {
      Decision decision = trained.picker
                              ->pick({.id = "r",
                                      .model = "m",
                                      .stream = true,
                                      .estimated_tokens = 100,
                                      .multimodal = true,
                                      .media = {&picture, 1}})
                              .value();
      std::string endpoint = decision.endpoint().name;
      const bool is_new = encoded[endpoint].insert(picture.hash).second;
      trained.clock.pass(milliseconds(is_new ? 1100 : 100));
      decision.first_token();
      decision.complete({.usage = {.prompt_tokens = 100, .completion_tokens = 1}});
      return endpoint;
    };
    for (std::uint64_t i = 0; i < 200; ++i) {
      serve({.hash = i / 3, .modality = openai::Modality::Image, .tokens = 1000});
    }
    const openai::MediaItem known{.hash = 777, .modality = openai::Modality::Image, .tokens = 1000};
    const std::string has_it = serve(known);
    const Headers objective{{{"x-llm-d-slo-ttft-ms", "400"}}};
    std::set<std::string> chosen;
    for (int i = 0; i < 40; ++i) {
      auto decision = trained.picker
                          ->pick({.id = "r",
                                  .model = "m",
                                  .headers = objective,
                                  .stream = true,
                                  .estimated_tokens = 100,
                                  .multimodal = true,
                                  .media = {&known, 1}})
                          .value();
      chosen.insert(decision.endpoint().name);
      if (!looks && chosen.size() == 2) {
        break;  // it does not know better
      }
    }
    EXPECT_EQ(chosen.size() == 1 && chosen.contains(has_it), looks);
  }
}

TEST(LatencyAdmitter, RefusesOnlySheddableRequestsThatNobodyCanServeInTime) {
  struct Row {
    int priority;
    HeaderMap objectives;
    float running;
    float kv;
    bool trained;
    bool admitted;
  };
  const HeaderMap strict{{"x-llm-d-slo-ttft-ms", "1"}};
  const HeaderMap loose{{"x-llm-d-slo-ttft-ms", "5000"}};
  for (const Row& row : {
           Row{-1, strict, 4, 0.5F, true, false},
           Row{0, strict, 4, 0.5F, true, true},
           Row{-1, loose, 4, 0.5F, true, true},
           Row{-1, {}, 4, 0.5F, true, true},
           Row{-1, strict, 0, 0.5F, true, true},
           Row{-1, strict, 4, 0.01F, true, true},
           Row{-1, strict, 4, 0.5F, false, true},
       }) {
    Trained trained(
        "plugins: [{type: predicted-latency-producer}, {type: latency-slo-admitter}, {type: "
        "concurrency-detector}]\nsaturationDetector: {pluginRef: concurrency-detector}\n",
        of_both_roles());
    if (row.trained) {
      trained.train();
    }
    for (const EndpointPtr& endpoint : trained.picker->endpoints()->endpoints) {
      endpoint->report({.waiting = 0, .running = row.running, .kv_usage = row.kv}, trained.clock.now());
    }
    const Headers headers{row.objectives};
    const auto decided = trained.picker->pick({.id = "r",
                                               .model = "m",
                                               .headers = headers,
                                               .stream = true,
                                               .priority = row.priority,
                                               .estimated_tokens = 100});
    EXPECT_EQ(decided.has_value(), row.admitted)
        << row.priority << " " << row.running << " " << row.kv << " " << row.trained;
  }
}

TEST(LatencyPlugins, ParametersHaveBounds) {
  for (const auto& [type, wrong] :
       {std::pair("predicted-latency-producer", "{sloBufferFactor: 0}"),
        std::pair("slo-headroom-tier-filter", "{epsilonExploreNeg: 1.1}"),
        std::pair("slo-headroom-tier-filter", "{epsilonExploreNeg: -0.1}"),
        std::pair("latency-scorer", "{headroomSelectionStrategy: some}"),
        std::pair("probabilistic-admitter", "{power: 0}"), std::pair("probabilistic-admitter", "{k: -1}"),
        std::pair("probabilistic-admitter", "{queueDepthThreshold: 0}"),
        std::pair("probabilistic-admitter", "{kvCacheUtilThreshold: 0}")}) {
    EXPECT_FALSE(Picker::from_config(only(type, wrong), "wrong")) << type << wrong;
  }
}

}  // namespace
}  // namespace llmd::picker
