// Which pool a request is for.
#include "extproc/pools.h"

#include <gtest/gtest.h>

namespace llmd::extproc {
namespace {

Pools::Entry entry(std::string name) {
  return {.pool = std::make_shared<const Pool>(std::move(name), std::make_shared<picker::Picker>())};
}

std::string name_of(const PoolPtr& pool) {
  return pool ? pool->name : "-";
}

class PoolsTest : public testing::Test {
 public:
  void SetUp() override {
    Pools::Entry llama = entry("llama");
    llama.models = {"llama-8b"};
    llama.hosts = {"Llama.example.com"};
    Pools::Entry qwen = entry("qwen");
    qwen.pool->picker->update({{.address = {"10.0.0.1", 1}, .name = "e"}});
    qwen.pool->picker->endpoints()->endpoints[0]->list_models({{.id = "qwen-7b"}});
    qwen.pool->picker->endpoints()->endpoints[0]->report({.adapters = picker::Adapters{{"lora"}, {}, 1}}, {});
    auto rules = std::make_shared<Rules>();
    rules->rewrites = ModelRewrites({{"r", "", {{{"public-name"}, {{"qwen-7b", 1}}}}}});
    qwen.pool->set_rules(rules);
    entries_ = {llama, qwen};
    pools_.set(entries_);
  }
  std::string select(Pools::Question question) const { return name_of(pools_.select(question)); }

  std::vector<Pools::Entry> entries_;
  Pools pools_;
};

TEST_F(PoolsTest, ByTheNameThatTheProxySays) {
  EXPECT_EQ(select({.name = "qwen", .model = "llama-8b"}), "qwen");
  EXPECT_EQ(select({.name = "unknown", .model = "llama-8b"}), "-");
}

TEST_F(PoolsTest, ByHostWithoutPortAndCase) {
  EXPECT_EQ(select({.host = "llama.EXAMPLE.com:443", .model = "qwen-7b"}), "llama");
  EXPECT_EQ(select({.host = "[fd00::1]:443", .model = "qwen-7b"}), "qwen");
}

TEST_F(PoolsTest, ByModelInTheOrderOfTrust) {
  EXPECT_EQ(select({.model = "llama-8b"}), "llama") << "listed";
  EXPECT_EQ(select({.model = "qwen"}), "qwen") << "the pool's own name";
  EXPECT_EQ(select({.model = "public-name"}), "qwen") << "a rewrite names it";
  EXPECT_EQ(select({.model = "qwen-7b"}), "qwen") << "an endpoint lists it";
  EXPECT_EQ(select({.model = "lora"}), "qwen") << "an adapter";
  EXPECT_EQ(select({.model = "gpt"}), "-");
}

TEST_F(PoolsTest, TheDefaultPoolGetsTheRest) {
  entries_[0].is_default = true;
  pools_.set(entries_);
  EXPECT_EQ(select({.model = "gpt"}), "llama");
  EXPECT_EQ(select({}), "llama");
}

TEST_F(PoolsTest, ASinglePoolGetsEverything) {
  pools_.set({entries_[1]});
  EXPECT_EQ(select({.name = "another", .host = "x", .model = "gpt"}), "qwen");
}

TEST_F(PoolsTest, ModelsAreThoseOfAllPools) {
  std::vector<std::string> ids;
  for (const openai::ListedCard& listed : pools_.models()) {
    ids.push_back(listed.card.id);
  }
  EXPECT_EQ(ids, (std::vector<std::string>{"llama-8b", "lora", "public-name", "qwen-7b"}));
  pools_.set({entry("silent"), entries_[0]});
  EXPECT_EQ(pools_.models().back().card.id, "silent") << "its name is all that is known of it";
}

TEST_F(PoolsTest, NoPoolGetsNothing) {
  pools_.set({});
  EXPECT_EQ(select({.model = "gpt"}), "-");
}

}  // namespace
}  // namespace llmd::extproc
