// Which changes of a cluster's objects make new routes, and which do not.
#include "gateway/testing_status.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;

class Sources : public Statuses {
 protected:
  // What happens to an object, by what it is.
  void change(std::string_view yaml) {
    static int round = 0;
    std::string text(yaml);
    text.replace(text.find("ROUND"), 5, std::to_string(++round));
    given(text);
  }
  void follow() {
    source_ = std::make_unique<KubeSource>(loop_, kube_, gateway_, KubeSourceOptions{.alone = false});
    source_->on_update([this](const RouteObjects&) { ++updates_; });
    scope_.spawn("source", source_->run());
    EXPECT_EQ(settled("1", [this] { return std::to_string(updates_); }), "1");
    calm_down();
  }
  // Longer than a burst of changes is waited for.
  void calm_down() {
    loop_.block_on(kube_.settled(loop_));
    loop_.block_on(async::sleep(milliseconds(50)));
  }
  int updates_ = 0;
};

constexpr std::string_view kConfigMap = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: default, labels: {round: "ROUND"}}
data: {ca.crt: x}
)";
constexpr std::string_view kSecret = R"(
apiVersion: v1
kind: Secret
metadata: {name: NAME, namespace: default, labels: {round: "ROUND"}}
)";
constexpr std::string_view kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: default, labels: {app: NAME, round: "ROUND"}}
)";

std::string named(std::string_view yaml, std::string_view name) {
  std::string text(yaml);
  for (std::size_t at = text.find("NAME"); at != std::string::npos; at = text.find("NAME")) {
    text.replace(at, 4, name);
  }
  return text;
}

TEST_F(Sources, OnlyConfigMapsSecretsAndPodsThatRoutesDependOnMakeNewRoutes) {
  given(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  gatewayClassName: llmd
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: used}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: engine}]
  validation: {hostname: e, caCertificateRefs: [{group: '', kind: ConfigMap, name: used}]}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool, namespace: default}
spec: {selector: {matchLabels: {app: used}}, targetPorts: [{number: 8000}]}
)");
  follow();
  for (const std::string_view kind : {kConfigMap, kSecret, kPod}) {
    SCOPED_TRACE(kind);
    const int before = updates_;
    for (int i = 0; i < 3; ++i) {
      change(named(kind, "unrelated"));
    }
    calm_down();
    EXPECT_EQ(updates_, before);
    change(named(kind, "used"));
    const std::string one_more = std::to_string(before + 1);
    EXPECT_EQ(settled(one_more, [this] { return std::to_string(updates_); }), one_more);
    calm_down();
  }
  // A pod that leaves its pool is no longer selected afterwards, and counts all the same.
  const int before = updates_;
  std::string moved = named(kPod, "used");
  moved.replace(moved.find("app: used"), 9, "app: else");
  change(moved);
  const std::string one_more = std::to_string(before + 1);
  EXPECT_EQ(settled(one_more, [this] { return std::to_string(updates_); }), one_more);
}

TEST_F(Sources, AConfigMapCountsOnceAPolicyNamesIt) {
  given(named(kConfigMap, "late"));
  follow();
  const int before = updates_;
  given(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: '', kind: Service, name: engine}]
  validation: {hostname: e, caCertificateRefs: [{group: '', kind: ConfigMap, name: late}]}
)");
  const auto updates = [this] { return std::to_string(updates_); };
  EXPECT_EQ(settled(std::to_string(before + 1), updates), std::to_string(before + 1));
  calm_down();
  change(named(kConfigMap, "late"));
  EXPECT_EQ(settled(std::to_string(before + 2), updates), std::to_string(before + 2));
}

}  // namespace
}  // namespace llmd::gateway
