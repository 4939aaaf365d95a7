// What an endpoints file may say, and how its mistakes are named.
#include "picker/datalayer/endpoints_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::picker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string problem(std::string_view text) {
  const auto file = parse_endpoints(text, "e.yaml");
  return file ? "" : file.error().text();
}

TEST(EndpointsFileTest, AddressesAreIpv4Ipv6OrNames) {
  const auto file = parse_endpoints(
      "endpoints:\n"
      "- {name: four, address: 10.0.0.1, port: 8000}\n"
      "- {name: six, address: 'fd00::1', port: \"8001\"}\n"
      "- {name: bracketed, address: '[fd00::2]', port: 8002, namespace: other}\n"
      "- {name: named, address: engine.example.com, port: 80, labels: {a: b, metricsPort: '9'}}\n",
      "e.yaml");
  ASSERT_TRUE(file) << file.error().text();
  std::vector<std::string> addresses;
  for (const Endpoint& endpoint : file->endpoints.at("")) {
    addresses.push_back(endpoint.address.to_string());
  }
  EXPECT_THAT(addresses,
              ElementsAre("10.0.0.1:8000", "[fd00::1]:8001", "[fd00::2]:8002", "engine.example.com:80"));
  EXPECT_EQ(file->endpoints.at("")[2].namespace_, "other");
  EXPECT_EQ(file->endpoints.at("")[3].metrics.to_string(), "engine.example.com:9");
  EXPECT_TRUE(file->pools.empty());
}

TEST(EndpointsFileTest, PoolsAreListedOrJustNamed) {
  const auto listed = parse_endpoints(
      "pools:\n- {name: a, models: [m, m2], hosts: [h], config: a.yaml}\n- {name: b, default: true}\n"
      "endpoints: [{name: e, pool: a, address: x, port: 1}, {name: e, pool: b, address: x, port: 2}]\n",
      "e.yaml");
  ASSERT_TRUE(listed) << listed.error().text();
  EXPECT_THAT(listed->pools, ElementsAre(PoolEntry{"a", {"m", "m2"}, {"h"}, "a.yaml", false},
                                         PoolEntry{.name = "b", .is_default = true}));
  EXPECT_EQ(listed->endpoints.at("b").size(), 1);
  const auto named = parse_endpoints(
      "endpoints: [{name: e, pool: z, address: x, port: 1}, {name: f, address: x, port: 1}]", "e.yaml");
  ASSERT_TRUE(named) << named.error().text();
  EXPECT_THAT(named->pools, ElementsAre(PoolEntry{.name = "z"}));
  EXPECT_EQ(named->endpoints.at("").size(), 1);
}

TEST(EndpointsFileTest, MistakesAreNamedWithTheirPlace) {
  const std::pair<const char*, const char*> rows[] = {
      {"{}", "a list 'endpoints' is missing"},
      {"endpoints: [{address: x, port: 1}]", "e.yaml:1:13: endpoints[0]: needs a name"},
      {"endpoints: [{name: a, address: x, port: 0}]", "port: must be a port, 1 to 65535"},
      {"endpoints: [{name: a, address: x, port: nine}]", "port: must be a port"},
      {"endpoints: [{name: a, address: 'x y', port: 1}]", "address: must be an address or a host name"},
      {"endpoints: [{name: a, address: x, port: 1, labels: {b: 1}}]", "label b: must be a string"},
      {"endpoints: [{name: a, address: x, port: 1, labels: {metricsPort: 'x'}}]", "label metricsPort"},
      {"endpoints: [{name: a, address: x, port: 1}, {name: a, address: z, port: 1}]", "is there twice"},
      {"pools: [{name: p}]\nendpoints: [{name: a, pool: q, address: x, port: 1}]",
       "the pool 'q' is not listed under pools"},
      {"pools: [{name: p}]\nendpoints: [{name: a, address: x, port: 1}]", "the pool '' is not listed"},
      {"pools: [{models: [m]}]\nendpoints: []", "pools[0]: needs a name"},
      {"pools: [{name: p, models: [m]}, {name: q, models: [m]}]\nendpoints: []",
       "another pool has the same model m"},
      {"pools: [{name: p, default: true}, {name: q, default: true}]\nendpoints: []", "the same default"},
      {"pools: [{name: p, hosts: [1]}]\nendpoints: []", "hosts[0]: must be a name"},
  };
  for (const auto& [text, message] : rows) {
    EXPECT_THAT(problem(text), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace llmd::picker
