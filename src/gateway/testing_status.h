// Objects in an API server and what becomes of them, for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "base/log.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"
#include "gateway/kube_source.h"
#include "json/yaml.h"
#include "testing/fake_kube.h"

namespace llmd::gateway {

inline const kube::Resource& resource_of(const kube::Object& object) {
  static const kube::Resource kinds[] = {kReferenceGrants, kPools, kGrpcRoutes, kBackendTlsPolicies};
  for (const kube::Resource& kind : kinds) {
    if (kind.kind == kube::kind_of(object)) {
      return kind;
    }
  }
  return *kube::find_resource(kube::api_version_of(object), kube::kind_of(object));
}

inline constexpr std::string_view kClass = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llmd}
spec: {controllerName: llmd.dev/gateway-controller}
)";
inline constexpr std::string_view kGateway = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec: {gatewayClassName: llmd, listeners: [{name: http, port: 80, protocol: HTTP}]}
)";
inline constexpr std::string_view kService = R"(
apiVersion: v1
kind: Service
metadata: {name: engine, namespace: default}
spec: {ports: [{port: 8000}]}
)";

// Objects in an API server, a gateway that is fed from it, and what it writes about them.
class Statuses : public ::testing::Test {
 protected:
  Statuses() {
    log::configure(log::Level::Off);
    gateway_.listen({"127.0.0.1", 0}).value();
  }
  ~Statuses() override {
    loop_.block_on(scope_.close());
    log::configure(log::Level::Info);
  }
  void given(std::string_view yaml) {
    for (auto& document : json::parse_yaml(yaml, "test").value()) {
      kube_.put(resource_of(document.value.as_object()), document.value.as_object());
    }
  }
  void run(KubeSourceOptions options = {.alone = false, .address = "10.0.0.1"}) {
    source_ = std::make_unique<KubeSource>(loop_, kube_, gateway_, std::move(options));
    scope_.spawn("source", source_->run());
  }
  const kube::Object& object(const kube::Resource& resource, std::string_view name) {
    const std::string name_space = resource.namespaced ? "default" : "";
    return *kube_.find(resource, {name_space, std::string(name)});
  }
  // "Accepted=True Accepted; ResolvedRefs=..." once the text says `expected`, or what it says after a while.
  std::string settled(std::string_view expected, const std::function<std::string()>& text) {
    for (int i = 0; i < 1000 && text() != expected; ++i) {
      loop_.block_on(async::sleep(std::chrono::milliseconds(2)));
    }
    return text();
  }
  static std::string conditions_of(const kube::Object* holder) {
    std::string text;
    if (holder != nullptr) {
      for (const kube::Object* each : objects_in(*holder, "conditions")) {
        text += fmt::format("{}{}={} {}", text.empty() ? "" : "; ", kube::find_string(*each, "type"),
                            kube::find_string(*each, "status"), kube::find_string(*each, "reason"));
      }
    }
    return text;
  }
  // "front: Accepted=True ...", for each of the list.
  static std::string entries_of(const kube::Object& object, const char* list, const char* reference) {
    std::string text;
    for (const auto* entry : objects_in(object, list)) {
      text +=
          fmt::format("{}{}: {}", text.empty() ? "" : "; ",
                      kube::find_string(*kube::find_object(*entry, reference), "name"), conditions_of(entry));
    }
    return text;
  }
  void expect_route(std::string_view name, std::string_view expected) {
    EXPECT_EQ(settled(expected,
                      [&] {
                        const auto parents = objects_in(object(kube::kHttpRoutes, name), "status.parents");
                        return parents.empty() ? std::string("none") : conditions_of(parents.front());
                      }),
              expected)
        << name;
  }
  void expect_gateway(std::string_view name, std::string_view expected) {
    EXPECT_EQ(
        settled(expected,
                [&] { return conditions_of(kube::find_object(object(kube::kGateways, name), "status")); }),
        expected)
        << name;
  }
  void expect_listener(std::string_view gateway, std::size_t number, std::string_view expected) {
    EXPECT_EQ(settled(expected,
                      [&] {
                        const auto all = objects_in(object(kube::kGateways, gateway), "status.listeners");
                        return all.size() <= number ? std::string("none") : conditions_of(all[number]);
                      }),
              expected)
        << gateway << " " << number;
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  testing::FakeKube kube_{loop_};
  Gateway gateway_{loop_, {}};
  std::unique_ptr<KubeSource> source_;
};

inline std::string route(std::string_view name, std::string_view spec) {
  return fmt::format(
      "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
      "metadata: {{name: {}, namespace: default}}\nspec: {}\n",
      name, spec);
}

}  // namespace llmd::gateway
