// Who may read /metrics.
#include "extproc/metrics_guard.h"

#include <gtest/gtest.h>

#include "testing/fake_kube.h"

namespace llmd::extproc {
namespace {

// Knows two tokens: one of somebody who may, one of somebody who may not.
class Reviewer final : public testing::FakeKube {
 public:
  using FakeKube::FakeKube;
  Task<Result<kube::Object>> create(const kube::Resource& resource, kube::Object object) override {
    ++questions;
    if (away) {
      co_return unavailable("the API server is away");
    }
    if (resource.kind == "TokenReview") {
      const std::string token(kube::find_string(object, "spec.token"));
      kube::at(object, "status.authenticated") = token != "forged";
      kube::at(object, "status.user.username") = token;
    } else {
      kube::at(object, "status.allowed") =
          kube::find_string(object, "spec.user") == "prometheus" &&
          kube::find_string(object, "spec.nonResourceAttributes.path") == "/metrics";
    }
    co_return object;
  }
  int questions = 0;
  bool away = false;
};

class MetricsGuardTest : public ::testing::Test {
 public:
  int ask(MetricsGuard& guard, std::string authorization, std::string peer = "10.0.0.9") {
    http::RequestHead request;
    if (!authorization.empty()) {
      request.headers.add("Authorization", authorization);
    }
    return loop_.block_on(guard.ask(request, {peer, 1}));
  }
  async::EventLoop loop_;
  Reviewer kubernetes_{loop_};
};

TEST_F(MetricsGuardTest, ReviewedTokensDecide) {
  MetricsGuard guard(MetricsAccess::Reviewed, &kubernetes_);
  EXPECT_EQ(ask(guard, ""), 401);
  EXPECT_EQ(ask(guard, "Basic prometheus"), 401);
  EXPECT_EQ(ask(guard, "Bearer forged"), 401);
  EXPECT_EQ(ask(guard, "Bearer somebody"), 403);
  EXPECT_EQ(ask(guard, "bearer prometheus"), 200);
}

TEST_F(MetricsGuardTest, VerdictsAreRememberedAndAbsencesAreNot) {
  MetricsGuard guard(MetricsAccess::Reviewed, &kubernetes_);
  kubernetes_.away = true;
  EXPECT_EQ(ask(guard, "Bearer prometheus"), 503);
  kubernetes_.away = false;
  EXPECT_EQ(ask(guard, "Bearer prometheus"), 200);
  const int before = kubernetes_.questions;
  EXPECT_EQ(ask(guard, "Bearer prometheus"), 200);
  EXPECT_EQ(kubernetes_.questions, before);
}

TEST_F(MetricsGuardTest, ThisMachineNeedsNoToken) {
  MetricsGuard reviewed(MetricsAccess::Reviewed, &kubernetes_);
  EXPECT_EQ(ask(reviewed, "", "127.0.0.1"), 200);
  MetricsGuard local(MetricsAccess::ThisMachine);
  EXPECT_EQ(ask(local, "", "::1"), 200);
  EXPECT_EQ(ask(local, "Bearer prometheus"), 403);
  MetricsGuard open(MetricsAccess::Everybody);
  EXPECT_EQ(ask(open, ""), 200);
}

}  // namespace
}  // namespace llmd::extproc
