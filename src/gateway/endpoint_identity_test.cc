// Endpoints as the API server tells of them: which changes of a pod make another endpoint.
#include <gtest/gtest.h>

#include "gateway/endpoints.h"
#include "json/value.h"
#include "picker/picker.h"

namespace llmd::gateway {
namespace {

kube::Object object(std::string_view text) {
  return json::parse_object(text).value();
}

kube::Object pod(std::string_view uid, std::string_view tier) {
  return object(fmt::format(R"({{"metadata": {{"name": "a", "namespace": "team", "uid": "{}",
      "labels": {{"app": "red", "tier": "{}"}}}},
      "status": {{"podIP": "10.0.0.1", "conditions": [{{"type": "Ready", "status": "True"}}]}}}})",
                            uid, tier));
}

std::vector<picker::Endpoint> of_pool(std::string_view uid, std::string_view tier) {
  static const kube::Object kPool = object(R"({"metadata": {"name": "pool", "namespace": "team"}, "spec": {
      "selector": {"matchLabels": {"app": "red"}}, "targetPorts": [{"number": 8000}]}})");
  const kube::Object one = pod(uid, tier);
  return endpoints_of_pool(kPool, {&one}).ready;
}

std::vector<picker::Endpoint> of_slice(std::string_view uid, std::string_view zone) {
  const kube::Object slice =
      object(fmt::format(R"({{"metadata": {{"name": "s", "namespace": "team"}}, "ports": [{{"port": 8000}}],
      "endpoints": [{{"addresses": ["10.0.0.1"], "zone": "{}", "conditions": {{"ready": true}},
      "targetRef": {{"kind": "Pod", "name": "a", "uid": "{}"}}}}]}})",
                         zone, uid));
  return endpoints_of({&slice}, "").ready;
}

TEST(EndpointIdentity, OfPoolsAndServicesIsThatOfThePod) {
  for (auto* endpoints : {of_pool, of_slice}) {
    picker::Picker picker;
    picker.update(endpoints("u1", "gold"));
    const auto running = picker.pick({.model = "m"}).value();
    const auto before = picker.endpoints()->endpoints.at(0);
    picker.update(endpoints("u1", "silver"));
    EXPECT_EQ(picker.endpoints()->endpoints[0], before);
    EXPECT_EQ(picker.endpoints()->endpoints[0]->running(), 1);
    picker.update(endpoints("u2", "silver"));
    EXPECT_NE(picker.endpoints()->endpoints[0], before) << "another pod of that name";
    EXPECT_EQ(picker.endpoints()->endpoints[0]->running(), 0);
  }
}

TEST(EndpointIdentity, APodThatTwoSlicesListIsOneEndpoint) {
  picker::Picker picker;
  auto endpoints = of_slice("u1", "a");
  endpoints.push_back(endpoints.front());
  picker.update(endpoints);
  EXPECT_EQ(picker.endpoints()->endpoints.size(), 1);
}

}  // namespace
}  // namespace llmd::gateway
