// Which program is served next, as llm-d's own tests state the rules of program-aware-fairness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "picker/flowcontrol/policies.h"
#include "picker/plan.h"
#include "picker/plugins/testing_pool.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

std::string program_aware(std::string_view parameters) {
  return "featureGates: [flowControl]\nplugins: [{name: fair, type: program-aware-fairness, parameters: " +
         std::string(parameters) + "}]\nflowControl: {defaultPriorityBand: {fairnessPolicyRef: fair}}\n";
}

// Programs that wait, and what they got.
struct Programs {
  explicit Programs(std::string_view parameters = "{}") {
    auto made = Picker::from_config(program_aware(parameters), "programs",
                                    {.load = {.allow_experimental = true, .seed = 7}, .clock = &clock});
    EXPECT_TRUE(made) << made.error().text();
    picker = std::move(*made);
    picker->update({{.address = {"10.0.0.1", 1}, .name = "only"}});
  }
  void waits(std::string program, Duration since) {
    FlowItem& item = items.emplace_back();
    item.flow = program;
    item.enqueued = clock.now() - since;
    item.number = items.size();
    flows[program].insert(&item);
  }
  void served(std::string_view program, std::int64_t prompt, std::int64_t completion) {
    auto decision = picker->pick({.model = "m", .fairness_id = program}).value();
    decision.complete({.usage = {.prompt_tokens = prompt, .completion_tokens = completion}});
  }
  std::string next() {
    return picker->plan().find_as<FairnessPolicy>("fair")->choose(flows, "", clock.now())->first;
  }
  // How often each of the programs would be next.
  std::map<std::string, int> draws(int count) {
    std::map<std::string, int> drawn;
    for (int i = 0; i < count; ++i) {
      ++drawn[next()];
    }
    return drawn;
  }

  HandClock clock;
  std::unique_ptr<Picker> picker;
  std::deque<FlowItem> items;
  Flows flows;
};

using std::chrono::seconds;

TEST(ProgramAware, LeastServiceGoesFirstAndAnswersCountTwice) {
  Programs programs;
  programs.waits("a", seconds(1));
  programs.waits("b", seconds(1));
  programs.served("a", 100, 0);
  programs.served("b", 0, 49);
  EXPECT_EQ(programs.next(), "b");
  programs.served("b", 0, 2);
  EXPECT_EQ(programs.next(), "a");
}

TEST(ProgramAware, WaitingCountsAsMuchAsItsWeightSays) {
  for (const auto& [weights, next] :
       {std::pair("{}", "fresh"), std::pair("{lasWeightService: 0.2, lasWeightHeadWait: 0.8}", "patient"),
        std::pair("{lasWeightService: 0}", "patient"), std::pair("{lasWeightHeadWait: 0}", "fresh")}) {
    Programs programs(weights);
    programs.waits("patient", seconds(60));
    programs.waits("fresh", seconds(1));
    programs.served("patient", 1000, 0);
    programs.served("fresh", 10, 0);
    EXPECT_EQ(programs.next(), next) << weights;
  }
}

TEST(ProgramAware, LongNamesAreKnownByTheirBeginning) {
  Programs programs;
  const std::string a = "a" + std::string(200, 'x');
  const std::string b = "b" + std::string(200, 'x');
  programs.waits(a, seconds(1));
  programs.waits(b, seconds(1));
  programs.served(a, 100, 0);
  EXPECT_EQ(programs.next(), b);
}

TEST(ProgramAware, OnlyDifferencesCount) {
  // Both have got much, one a little more: that is all the difference there is, as if it were everything.
  Programs programs;
  programs.waits("a", seconds(100));
  programs.waits("b", seconds(1));
  programs.served("a", 1'000'001, 0);
  programs.served("b", 1'000'000, 0);
  EXPECT_EQ(programs.next(), "b");
}

TEST(ProgramAware, ColdProgramsAreAsLikely) {
  Programs programs;
  for (const char* program : {"a", "b", "c"}) {
    programs.waits(program, seconds(1));
  }
  const auto drawn = programs.draws(3000);
  for (const char* program : {"a", "b", "c"}) {
    EXPECT_NEAR(drawn.at(program), 1000, 150) << program;
  }
}

TEST(ProgramAware, ServiceIsForgottenByHalves) {
  struct Row {
    const char* parameters;
    const char* next;  // after a minute
  };
  // "old" got 1000 a minute before "young" gets 600.
  for (const Row& row : {Row{"{}", "old"}, Row{"{lasHalfLifeSeconds: 600}", "young"},
                         Row{"{lasHalfLifeSeconds: 0}", "young"}}) {
    Programs programs(row.parameters);
    programs.served("old", 1000, 0);
    programs.clock.pass(seconds(60));
    programs.served("young", 600, 0);
    programs.waits("old", seconds(1));
    programs.waits("young", seconds(1));
    EXPECT_EQ(programs.next(), row.next) << row.parameters;
  }
}

TEST(ProgramAware, IdleProgramsAreForgottenAndNamesStayPrivate) {
  struct Row {
    const char* parameters;
    std::int64_t left;
  };
  for (const Row& row : {Row{"{evictionTtlSeconds: 100, evictionSweepSeconds: 10}", 1},
                         Row{"{evictionTtlSeconds: 1000, evictionSweepSeconds: 10}", 2},
                         Row{"{evictionTtlSeconds: 100, evictionSweepSeconds: 10000}", 2},
                         Row{"{evictionTtlSeconds: 0, evictionSweepSeconds: 10}", 2}}) {
    Programs programs(row.parameters);
    programs.served("secret-a", 1, 0);
    programs.clock.pass(seconds(200));
    programs.served("secret-b", 1, 0);
    const json::Value state = programs.picker->debug_state();
    EXPECT_EQ(json::int_at(state, "plugins[fair].state.programs"), row.left) << row.parameters;
    EXPECT_THAT(json::write(state), testing::Not(testing::HasSubstr("secret-")));
  }
}

TEST(ProgramAware, ParametersHaveBoundsAndNames) {
  const LoadOptions load{.allow_experimental = true};
  for (const char* wrong :
       {"{strategy: drr}", "{lasWeightService: -0.1}", "{lasWeightHeadWait: -1}", "{lasHalfLifeSeconds: -1}",
        "{evictionTtlSeconds: -1}", "{evictionSweepSeconds: 0}", "{evictionSweepSeconds: -1}",
        "{lasWeightService: much}"}) {
    EXPECT_FALSE(Picker::from_config(program_aware(wrong), "wrong", {.load = load})) << wrong;
  }
  EXPECT_THAT(check_configuration(program_aware("{lasDecayFactor: 0.5}"), "unknown", load).errors,
              testing::Contains(testing::HasSubstr("lasDecayFactor")));
}

}  // namespace
}  // namespace llmd::picker
