#include "operator/service_url.h"

#include <gtest/gtest.h>

#include "json/value.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kPlain = R"({"name": "http", "port": 80, "protocol": "HTTP"})";
constexpr std::string_view kPaths = R"([{"matches": [
    {"path": {"value": "/team/m/v1/chat/completions"}}, {"path": {"value": "/team/m"}},
    {"path": {"value": "/"}, "headers": [{"name": "X-Model", "value": "m"}]},
    {"path": {"value": "/publishers/team/models/m"}}, {"path": {"type": "RegularExpression", "value": "/"}}]}])";

struct Case {
  std::string_view name;
  std::string listeners;
  std::string_view addresses;
  std::string_view url;
  std::string_view hostnames = "[]";
  std::string_view parent = R"({"name": "g", "namespace": "kserve"})";
};

class ServiceUrl : public ::testing::TestWithParam<Case> {};

TEST_P(ServiceUrl, IsWhatRouteListenerAndGatewaySay) {
  const Case& row = GetParam();
  const auto gateway = json::parse_object(
      fmt::format(R"({{"metadata": {{"name": "g", "namespace": "kserve"}}, "spec": {{"listeners": [{}]}},
                      "status": {{"addresses": {}}}}})",
                  row.listeners, row.addresses));
  const auto route = json::parse_object(fmt::format(R"({{"metadata": {{"name": "r", "namespace": "team"}},
                      "spec": {{"parentRefs": [{}], "hostnames": {}, "rules": {}}}}})",
                                                    row.parent, row.hostnames, kPaths));
  const auto find = [&](const kube::ObjectKey& key) {
    return key == kube::key_of(*gateway) ? &*gateway : nullptr;
  };
  EXPECT_EQ(service_url({&*route}, find), row.url);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ServiceUrl,
    ::testing::Values(
        Case{"Address", std::string(kPlain), R"([{"value": "34.1.2.3"}])", "http://34.1.2.3/team/m"},
        Case{"V6", std::string(kPlain), R"([{"value": "2001:db8::1"}])", "http://[2001:db8::1]/team/m"},
        Case{"NoAddressYet", std::string(kPlain), "[]", ""},
        Case{"Port", R"({"name": "x", "port": 8443, "protocol": "HTTPS"})", R"([{"value": "a.example"}])",
             "https://a.example:8443/team/m"},
        Case{"HostsOfTheRoute", std::string(kPlain), "[]", "http://m.example/team/m",
             R"(["*.x", "m.example"])"},
        Case{"HostOfTheListener", R"({"port": 443, "protocol": "HTTPS", "hostname": "l.example"})", "[]",
             "https://l.example/team/m"},
        Case{"WildcardOfTheListener", R"({"port": 443, "protocol": "HTTPS", "hostname": "*.l.example"})",
             "[]", "https://inference.l.example/team/m"},
        Case{
            "OutsideBeforeInside", std::string(kPlain),
            R"([{"value": "10.0.0.1"}, {"value": "172.20.0.1"}, {"value": "g.svc.cluster.local"}, {"value": "z.example"}])",
            "http://z.example/team/m"},
        Case{"InsideIfThereIsNothingElse", std::string(kPlain), R"([{"value": "172.20.0.1"}])",
             "http://172.20.0.1/team/m"},
        Case{"SecureBeforePlain",
             std::string(kPlain) + R"(, {"name": "s", "port": 443, "protocol": "HTTPS"})",
             R"([{"value": "a.example"}])", "https://a.example/team/m"},
        Case{"Section", std::string(kPlain) + R"(, {"name": "s", "port": 443, "protocol": "HTTPS"})",
             R"([{"value": "a.example"}])", "http://a.example/team/m", "[]",
             R"({"name": "g", "namespace": "kserve", "sectionName": "http"})"},
        Case{"AnotherGateway", std::string(kPlain), R"([{"value": "a.example"}])", "", "[]",
             R"({"name": "g"})"},
        Case{"OtherProtocols", R"({"name": "t", "port": 80, "protocol": "TCP"})",
             R"([{"value": "a.example"}])", ""}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace llmd::operators
