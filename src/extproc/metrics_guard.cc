#include "extproc/metrics_guard.h"

#include "base/strings.h"
#include "crypto/hash.h"

namespace llmd::extproc {
namespace {

constexpr kube::Resource kTokenReviews{"authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false};
constexpr kube::Resource kAccessReviews{"authorization.k8s.io", "v1", "subjectaccessreviews",
                                        "SubjectAccessReview", false};
constexpr auto kRemembered = std::chrono::minutes(1);
constexpr std::size_t kMostRemembered = 1000;

kube::Object token_review(const std::string& token) {
  kube::Object review;
  review["apiVersion"] = kTokenReviews.api_version();
  review["kind"] = kTokenReviews.kind;
  review["metadata"] = kube::Object();
  kube::at(review, "spec.token") = token;
  return review;
}

kube::Object access_review(const kube::Object& user) {
  kube::Object review;
  review["apiVersion"] = kAccessReviews.api_version();
  review["kind"] = kAccessReviews.kind;
  review["metadata"] = kube::Object();
  kube::at(review, "spec.user") = kube::find_string(user, "username");
  if (const auto* groups = kube::find_array(user, "groups")) {
    kube::at(review, "spec.groups") = *groups;
  }
  kube::at(review, "spec.nonResourceAttributes.path") = "/metrics";
  kube::at(review, "spec.nonResourceAttributes.verb") = "get";
  return review;
}

}  // namespace

MetricsGuard::MetricsGuard(MetricsAccess access, kube::Client* client) : access_(access), client_(client) {}
MetricsGuard::~MetricsGuard() = default;

Task<int> MetricsGuard::ask(const http::RequestHead& request, const net::Address& peer) {
  if (access_ == MetricsAccess::Everybody || peer.is_loopback()) {
    co_return 200;
  }
  if (access_ == MetricsAccess::ThisMachine) {
    co_return 403;
  }
  const std::string_view header = request.headers.find("authorization").value_or("");
  constexpr std::string_view kBearer = "Bearer ";
  if (!equals_ignoring_case(header.substr(0, kBearer.size()), kBearer)) {
    co_return 401;
  }
  std::string token(trim(header.substr(kBearer.size())));
  const auto digest = crypto::sha256(token);
  std::string key(digest.begin(), digest.end());
  const TimePoint now = std::chrono::steady_clock::now();
  if (const auto known = verdicts_.find(key); known != verdicts_.end() && known->second.until > now) {
    co_return known->second.status;
  }
  const int status = co_await review(std::move(token));
  if (status != 503) {
    if (verdicts_.size() >= kMostRemembered) {
      verdicts_.clear();
    }
    verdicts_[std::move(key)] = {status, now + kRemembered};
  }
  co_return status;
}

Task<int> MetricsGuard::review(std::string token) {
  const auto reviewed = co_await client_->create(kTokenReviews, token_review(token));
  if (!reviewed) {
    co_return 503;
  }
  const kube::Object* user = kube::find_object(*reviewed, "status.user");
  if (user == nullptr || !kube::find_bool(*reviewed, "status.authenticated", false)) {
    co_return 401;
  }
  const auto access = co_await client_->create(kAccessReviews, access_review(*user));
  if (!access) {
    co_return 503;
  }
  co_return kube::find_bool(*access, "status.allowed", false) ? 200 : 403;
}

}  // namespace llmd::extproc
