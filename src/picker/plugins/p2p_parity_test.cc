// Who hands over what is cached, as llm-d's own tests state the rules of p2p-source-producer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kHeader = "x-kv-cache-source-host-port";

std::string sharing(std::string_view parameters = "{}") {
  return "plugins: [{type: queue-scorer}, {type: max-score-picker}, {type: prefix-cache-scorer}, {type: "
         "p2p-source-producer, parameters: " +
         std::string(parameters) +
         "}]\nschedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}, {pluginRef: "
         "max-score-picker}]}]\n";
}

Prompt beginning_of(const Prompt& prompt, std::size_t blocks) {
  Prompt part = prompt;
  part.units.resize(blocks * 4);
  return part;
}

// Where e0, which computes, is told to get the beginning of the prompt from; "-": it is not told.
std::string source(Pool& pool, const Prompt& prompt, std::string_view id = "r") {
  Request request = prompt.request();
  request.id = id;
  const auto decision = pool.picker->pick(request).value();
  EXPECT_EQ(decision.endpoint().name, "e0");
  return std::string(decision.headers.find(kHeader).value_or("-"));
}

void idle_first(Pool& pool, std::size_t count, float waiting = 9) {
  pool.report(0, {.waiting = 0});
  for (std::size_t i = 1; i < count; ++i) {
    pool.report(i, {.waiting = waiting});
  }
}

TEST(P2pSource, TheGainMustBeWorthIt) {
  struct Row {
    const char* parameters;
    std::size_t own;  // blocks of the one that computes
    std::size_t other;
    const char* source;
  };
  for (const Row& row :
       {Row{"{}", 0, 8, "10.0.0.1:8000"}, Row{"{}", 0, 0, "-"}, Row{"{}", 8, 8, "-"}, Row{"{}", 8, 4, "-"},
        Row{"{}", 6, 8, "10.0.0.1:8000"}, Row{"{minCachedTokenDelta: 128}", 6, 8, "10.0.0.1:8000"},
        Row{"{minCachedTokenDelta: 129}", 6, 8, "-"},
        Row{"{minCachedTokenDelta: 512}", 0, 8, "10.0.0.1:8000"},
        Row{"{minCachedTokenDelta: 513}", 0, 8, "-"}}) {
    Pool pool(sharing(row.parameters), 2);
    const Prompt prompt(8);
    if (row.own > 0) {
      warm(pool, beginning_of(prompt, row.own), 0);
    }
    if (row.other > 0) {
      warm(pool, beginning_of(prompt, row.other), 1);
    }
    idle_first(pool, 2);
    EXPECT_EQ(source(pool, prompt), row.source) << row.parameters << " " << row.own << " " << row.other;
  }
  EXPECT_FALSE(Picker::from_config(sharing("{minCachedTokenDelta: 0}"), "p2p",
                                   {.load = {.allow_experimental = true}}));
}

TEST(P2pSource, WhoHasNearlyTheMostSharesTheWorkByTheQueue) {
  Pool pool(sharing(), 4);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 1});
  pool.report(2, {.waiting = 4});
  pool.report(3, {.waiting = 1});
  std::map<std::string, int> sources;
  constexpr int kRequests = 600;
  for (int i = 0; i < kRequests; ++i) {
    const Prompt prompt(8, static_cast<std::uint64_t>(i + 1));
    warm(pool, prompt, 1);
    warm(pool, beginning_of(prompt, 7), 2);
    warm(pool, beginning_of(prompt, 6), 3);
    ++sources[source(pool, prompt, "request-" + std::to_string(i))];
  }
  EXPECT_NEAR(sources["10.0.0.1:8000"], kRequests * 0.5 / 0.7, 60);
  EXPECT_NEAR(sources["10.0.0.2:8000"], kRequests * 0.2 / 0.7, 60);
  EXPECT_EQ(sources["10.0.0.3:8000"], 0) << "two blocks less than the most";
}

TEST(P2pSource, AddressesOfIpv6HaveBrackets) {
  Pool pool(sharing(), 0);
  pool.set({{.address = {"fd00::a", 8000}, .name = "e0"}, {.address = {"fd00::b", 8000}, .name = "e1"}});
  const Prompt prompt(8);
  warm(pool, prompt, 1);
  idle_first(pool, 2);
  EXPECT_EQ(source(pool, prompt), "[fd00::b]:8000");
}

}  // namespace
}  // namespace llmd::picker
