// What plugins tell at /debug/plugins/state, in the form of llm-d's picker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

json::Value state_of(const Pool& pool, std::string_view plugin) {
  const json::Value all = pool.picker->debug_state();
  const json::Value* state = json::find(all, "plugins[" + std::string(plugin) + "].state");
  return state != nullptr ? *state : json::Value();
}

constexpr std::string_view kInflight =
    "plugins: [{type: inflight-load-producer}, {type: active-request-scorer}]\n";

TEST(InflightLoadDump, NamesTheBusiestFirst) {
  Pool pool(kInflight, 3);
  const auto all = pool.picker->endpoints()->endpoints;
  const Lease small(all[0], 5);
  const Lease large(all[2], 40);
  const Lease second(all[2], 2);
  EXPECT_EQ(json::write(state_of(pool, "inflight-load-producer")),
            R"({"endpoints":[{"endpoint":"default/e2","requests":2,"tokens":42},)"
            R"({"endpoint":"default/e0","requests":1,"tokens":5},)"
            R"({"endpoint":"default/e1","requests":0,"tokens":0}],)"
            R"("totalEndpoints":3,"maxEndpoints":100,"truncated":false})");
}

TEST(InflightLoadDump, OfALargePoolIsCut) {
  Pool pool(kInflight, 105);
  const Lease last(pool.picker->endpoints()->endpoints[104], 1);
  const json::Value state = state_of(pool, "inflight-load-producer");
  EXPECT_EQ(json::array_at(state, "endpoints")->size(), 100);
  EXPECT_EQ(json::string_at(state, "endpoints[0].endpoint"), "default/e104");
  EXPECT_EQ(json::int_at(state, "totalEndpoints"), 105);
  EXPECT_EQ(json::bool_at(state, "truncated"), true);
}

TEST(InflightLoadDump, WhoHasGoneIsNotInIt) {
  Pool pool(kInflight, 1);
  const Lease running(pool.picker->endpoints()->endpoints[0], 5);
  pool.set({});
  EXPECT_EQ(json::int_at(state_of(pool, "inflight-load-producer"), "totalEndpoints"), 0);
}

TEST(FileDiscoveryDump, NamesTheFileAndWhoIsInIt) {
  Pool pool(
      "plugins: [{type: random-picker}, {type: file-discovery, parameters: {path: /e.yaml, watchFile: "
      "true}}]\n"
      "dataLayer: {discovery: {pluginRef: file-discovery}}\n",
      0);
  pool.set({{.address = {"10.0.0.2", 8000}, .name = "b"},
            {.address = {"10.0.0.1", 8000}, .name = "a", .namespace_ = "team"}});
  EXPECT_EQ(json::write(state_of(pool, "file-discovery")),
            R"({"endpoints":["default/b","team/a"],"totalEndpoints":2,"maxEndpoints":100,"truncated":false,)"
            R"("path":"/e.yaml","watchFile":true,"ready":true})");
}

}  // namespace
}  // namespace llmd::picker
