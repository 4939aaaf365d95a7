// Certificates that the configuration names for the numbers of a pool's endpoints, and cannot be used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "gateway/configuration.h"
#include "gateway/gateway.h"
#include "json/path.h"

namespace llmd::gateway {
namespace {

using testing::HasSubstr;

GatewayConfiguration asking_with(std::string_view certificate) {
  return parse_gateway_configuration(fmt::format(R"(apiVersion: config.llmd.dev/v1alpha1
kind: GatewayConfiguration
pools:
  pickerConfig:
    plugins:
    - {{type: random-picker}}
    - {{type: metrics-data-source, parameters: {{scheme: https{}}}}}
    - {{type: core-metrics-extractor}}
    dataLayer:
      injectDefaults: false
      sources: [{{pluginRef: metrics-data-source, extractors: [{{pluginRef: core-metrics-extractor}}]}}]
)",
                                                 certificate),
                                     "gateway.yaml")
      .value();
}

constexpr std::string_view kNowhere = ", clientCertPath: /nowhere/tls.crt, clientKeyPath: /nowhere/tls.key";

TEST(SourceProblems, ADocumentMayBeCheckedWithoutItsFilesButNotServed) {
  EXPECT_TRUE(check_files(asking_with("")));
  EXPECT_TRUE(check_files(GatewayConfiguration()));
  const auto refused = check_files(asking_with(kNowhere));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("pools.pickerConfig: data source 'metrics-data-source': "
                                                 "clientCertPath: open /nowhere/tls.crt"));
  EXPECT_THAT(refused.error().advice, HasSubstr("mounted"));
}

TEST(SourceProblems, AreToldWhileTheGatewayRuns) {
  async::EventLoop loop;
  Gateway gateway(loop, apply_configuration({}, asking_with(kNowhere)));
  ASSERT_TRUE(gateway.listen({"127.0.0.1", 0}));
  RouteTable table;
  table.backends["pool"] = {.ready = {{.address = {"127.0.0.1", 1}, .name = "e"}}, .pool = true};
  table.seal();
  gateway.update(std::move(table));
  const auto scene = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("gateway", gateway.run());
      const auto deadline = async::Deadline::after(std::chrono::seconds(30));
      while (gateway.source_problems().empty() && !deadline.expired()) {
        co_await async::sleep(std::chrono::milliseconds(1));
      }
    });
  };
  loop.block_on(scene());
  const json::Value problems(gateway.source_problems());
  EXPECT_EQ(json::string_at(problems, "[0].backend"), "pool");
  EXPECT_THAT(std::string(json::string_at(problems, "[0].problem").value_or("")),
              HasSubstr("/nowhere/tls.crt"));
  EXPECT_THAT(std::string(json::string_at(problems, "[0].hint").value_or("")), HasSubstr("mounted"));
  EXPECT_THAT(gateway.metrics_text(), HasSubstr("llmd_gateway_data_source_problems{backend=\"pool\"} 1"));
}

}  // namespace
}  // namespace llmd::gateway
