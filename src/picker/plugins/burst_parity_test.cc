// Requests that arrive together: held for a window, decided together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

using testing::Each;
using testing::ElementsAre;

// Nobody prefers anybody but for the burst.
std::string burst(std::string_view parameters) {
  return "plugins: [{type: burst-prefix-cache-producer, parameters: " + std::string(parameters) +
         "}, {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: "
         "burst-prefix-cache-producer}}, {type: max-score-picker, parameters: {ties: turn}}]\n";
}

// Clients of one picker on one loop.
struct Clients {
  explicit Clients(std::string_view parameters, std::size_t endpoints = 3)
      : pool(burst(parameters), endpoints) {}

  Task<void> ask(std::string client, Request request, async::Deadline deadline) {
    auto decided = co_await pool.picker->decide(request, deadline);
    EXPECT_TRUE(decided);
    served[client] = decided->endpoint().name;
    scores[client] = best_score();
    decisions.push_back(std::move(*decided));
  }
  double best_score() const {
    const json::Value last = pool.picker->explain_last(1);
    double best = 0;
    for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
      best = std::max(best, json::double_at(endpoint, "scores[prefix-cache-scorer]").value_or(-1));
    }
    return best;
  }
  std::int64_t held() const {
    return json::int_at(pool.picker->debug_state(), "plugins[burst-prefix-cache-producer].state.held")
        .value_or(-1);
  }
  Task<void> until_held(std::int64_t count) {
    const auto deadline = async::Deadline::after(std::chrono::seconds(30));
    while (held() != count && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(held(), count);
  }
  void arrives(async::Scope& scope, std::string client, const Request& request,
               async::Deadline deadline = async::Deadline::never()) {
    scope.spawn(client, ask(client, request, deadline));
  }
  void run(const std::function<Task<void>(async::Scope&)>& story) {
    loop.block_on([&]() -> Task<void> {
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        co_await story(scope);
        co_await scope.join();
      });
    }());
  }
  std::set<std::string> endpoints_of(std::initializer_list<std::string> clients) const {
    std::set<std::string> names;
    for (const std::string& client : clients) {
      names.insert(served.at(client));
    }
    return names;
  }

  async::EventLoop loop;
  Pool pool;
  std::map<std::string, std::string> served;
  std::map<std::string, double> scores;
  std::vector<Decision> decisions;
};

TEST(Burst, EqualPromptsOfAWindowGoToOneEndpoint) {
  const Prompt prompt(4);
  const Prompt other(4, 2);
  Clients clients("{windowDurationMs: 200}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    for (const char* name : {"a", "b", "c"}) {
      clients.arrives(scope, name, prompt.request());
    }
    clients.arrives(scope, "alone", other.request());
    co_await clients.until_held(4);
    EXPECT_TRUE(clients.served.empty()) << "they wait for each other";
  });
  EXPECT_EQ(clients.endpoints_of({"a", "b", "c"}).size(), 1U);
  EXPECT_EQ(clients.scores["a"], 1) << "all of the prompt";
  EXPECT_EQ(clients.scores["alone"], 0);
  EXPECT_EQ(clients.held(), 0);
}

TEST(Burst, ClientsThatLeaveBeforeTheWindowClosesAreNotCounted) {
  const Prompt prompt(4);
  Clients clients("{windowDurationMs: 300}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    clients.arrives(scope, "stays", prompt.request());
    co_await async::with_scope(clients.loop.executor(), [&](async::Scope& leaving) -> Task<void> {
      clients.arrives(leaving, "leaves", prompt.request());
      co_await clients.until_held(2);
    });
    EXPECT_EQ(clients.held(), 1);
  });
  EXPECT_FALSE(clients.served.contains("leaves"));
  EXPECT_EQ(clients.scores["stays"], 0) << "alone it may go anywhere";
}

TEST(Burst, TheFirstClientMayLeaveAndTheOthersStillAgree) {
  const Prompt prompt(4);
  Clients clients("{windowDurationMs: 300}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await async::with_scope(clients.loop.executor(), [&](async::Scope& leaving) -> Task<void> {
      clients.arrives(leaving, "leaves", prompt.request());
      co_await clients.until_held(1);
      clients.arrives(scope, "b", prompt.request());
      clients.arrives(scope, "c", prompt.request());
      co_await clients.until_held(3);
    });
  });
  EXPECT_EQ(clients.endpoints_of({"b", "c"}).size(), 1U);
  EXPECT_EQ(clients.scores["b"], 1);
}

TEST(Burst, TheNextWindowKnowsNothingOfTheLast) {
  const Prompt prompt(4);
  Clients clients("{windowDurationMs: 50}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    clients.arrives(scope, "a", prompt.request());
    clients.arrives(scope, "b", prompt.request());
    co_await scope.join();
    clients.arrives(scope, "late", prompt.request());
  });
  EXPECT_EQ(clients.scores["a"], 1);
  EXPECT_EQ(clients.scores["late"], 0);
}

TEST(Burst, AFullWindowLetsTheRestPassAtOnce) {
  const Prompt prompt(4);
  Clients clients("{windowDurationMs: 300, maxBatchSize: 2}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    clients.arrives(scope, "a", prompt.request());
    clients.arrives(scope, "b", prompt.request());
    co_await clients.until_held(2);
    co_await clients.ask("third", prompt.request(), async::Deadline::never());
    EXPECT_EQ(clients.held(), 2);
    EXPECT_EQ(clients.scores["third"], 0);
  });
  EXPECT_EQ(clients.scores["a"], 1);
}

TEST(Burst, WhoCannotWaitOrHasNoPromptIsNotHeld) {
  const Prompt prompt(4);
  Clients clients("{windowDurationMs: 10000}");
  clients.run([&](async::Scope&) -> Task<void> {
    co_await clients.ask("hurried", prompt.request(), async::Deadline::after(std::chrono::seconds(5)));
    co_await clients.ask("empty", {.id = "r", .model = "m"}, async::Deadline::never());
    EXPECT_EQ(clients.held(), 0);
  });
  EXPECT_TRUE(clients.pool.picker->pick(prompt.request())) << "what is tried again is not held either";
}

TEST(Burst, TheProxysSubsetBoundsWhereABurstGoes) {
  const Prompt prompt(4);
  const std::string_view subset[] = {"10.0.0.2"};
  Request request = prompt.request();
  request.subset = subset;
  Clients clients("{windowDurationMs: 100}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    clients.arrives(scope, "a", request);
    clients.arrives(scope, "b", request);
    co_return;
  });
  EXPECT_EQ(clients.endpoints_of({"a", "b"}), (std::set<std::string>{"e2"}));
  EXPECT_EQ(clients.scores["a"], 1);
}

TEST(Burst, FlowControlComesFirst) {
  const Prompt prompt(4);
  auto picker = Picker::from_config("featureGates: [flowControl]\n" + burst("{windowDurationMs: 50}"),
                                    "burst", {.load = {.allow_experimental = true, .seed = 7}})
                    .value();
  picker->update({{.address = {"10.0.0.1", 1}, .name = "only"}});
  picker->endpoints()->endpoints[0]->report({.waiting = 0, .kv_usage = 0}, std::chrono::steady_clock::now());
  EXPECT_TRUE(picker->waits());
  async::EventLoop loop;
  loop.block_on([&]() -> Task<void> {
    auto decided = co_await picker->decide(prompt.request(), async::Deadline::never());
    EXPECT_TRUE(decided);
  }());
}

TEST(Burst, OnlyOnePluginHoldsRequests) {
  const std::string two =
      "plugins: [{type: burst-prefix-cache-producer}, {name: more, type: burst-prefix-cache-producer}]\n";
  const auto made = Picker::from_config(two, "two", {.load = {.allow_experimental = true}});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text(), testing::HasSubstr("both hold requests"));
}

TEST(Burst, ParametersHaveBounds) {
  for (const char* wrong :
       {"{windowDurationMs: 0}", "{windowDurationMs: 10001}", "{maxPerReplica: 0}", "{maxPerReplica: -2}",
        "{blockSizeTokens: 0}", "{maxPrefixTokensToMatch: 63}", "{maxPrefixTokensToMatch: -1}",
        "{minColocateBlocks: -1}", "{maxBatchSize: 0}", "{maxBatchSize: -2}", "{balanceBy: chance}"}) {
    EXPECT_FALSE(Picker::from_config(burst(wrong), "wrong", {.load = {.allow_experimental = true}})) << wrong;
  }
  for (const char* right : {"{}", "{windowDurationMs: 10000, maxPerReplica: -1, maxBatchSize: -1}",
                            "{maxPrefixTokensToMatch: 64}", "{balanceBy: tokens, maxPerReplica: 1}"}) {
    EXPECT_TRUE(Picker::from_config(burst(right), "right", {.load = {.allow_experimental = true}})) << right;
  }
}

}  // namespace
}  // namespace llmd::picker
