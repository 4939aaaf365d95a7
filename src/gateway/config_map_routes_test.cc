#include "gateway/config_map_routes.h"

#include <gtest/gtest.h>

#include "async/scope.h"
#include "testing/fake_kube.h"

namespace llmd::gateway {
namespace {

const kube::ObjectKey kKey{"llmd-system", "routes"};

ManualRoute route(std::string model) {
  ManualRoute made;
  made.model = std::move(model);
  made.url = net::Address{"127.0.0.1", 8000};
  return made;
}

RouteEdit put(const std::string& model) {
  return [model](ManualRoutes& routes) { return routes.put(route(model)); };
}

TEST(ConfigMapRoutes, WhatOneReplicaAddsTheOtherHasToo) {
  async::EventLoop loop;
  testing::FakeKube kube(loop);
  ConfigMapRoutes one(loop, kube, kKey);
  ConfigMapRoutes other(loop, kube, kKey);
  std::string seen;
  other.on_change([&](const ManualRoutes& routes) {
    seen.clear();
    for (const auto& [key, each] : routes.all()) {
      seen += each.model + " ";
    }
  });
  loop.block_on([&]() -> Task<void> {
    async::Scope scope(loop);
    scope.spawn("other", other.run());
    EXPECT_EQ((co_await one.edit(put("a"))).value_or(-1), 1);
    EXPECT_EQ((co_await other.edit(put("b"))).value_or(-1), 1);
    EXPECT_EQ((co_await one.edit(put("a"))).value_or(-1), 0);
    co_await kube.settled(loop);
    EXPECT_EQ(seen, "a b ");
    const auto remove = [](ManualRoutes& routes) { return routes.remove("a", std::nullopt); };
    EXPECT_EQ((co_await one.edit(remove)).value_or(-1), 1);
    EXPECT_EQ((co_await one.edit(remove)).value_or(-1), 0);
    co_await kube.settled(loop);
    EXPECT_EQ(seen, "b ");
    co_await scope.close();
  }());
}

TEST(ConfigMapRoutes, WhatCannotBeUnderstoodIsNotOverwritten) {
  async::EventLoop loop;
  testing::FakeKube kube(loop);
  kube.put(kube::kConfigMaps, {{"metadata", {{"name", kKey.name}, {"namespace", kKey.name_space}}},
                               {"data", {{"routes", "a mistake"}}}});
  ConfigMapRoutes routes(loop, kube, kKey);
  loop.block_on([&]() -> Task<void> {
    const auto outcome = co_await routes.edit(put("a"));
    EXPECT_FALSE(outcome);
    if (!outcome) {
      EXPECT_THAT(outcome.error().text(), ::testing::HasSubstr("ConfigMap llmd-system/routes"));
    }
  }());
  EXPECT_EQ(kube::find_string(*kube.find(kube::kConfigMaps, kKey), "data.routes"), "a mistake");
}

}  // namespace
}  // namespace llmd::gateway
