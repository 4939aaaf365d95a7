// Who may read /metrics: everybody, callers on this machine, or whoever Kubernetes lets (a TokenReview says
// who the bearer of a token is, a SubjectAccessReview whether they may GET /metrics). One loop.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"
#include "kube/client.h"

namespace llmd::extproc {

enum class MetricsAccess { Everybody, ThisMachine, Reviewed };

class MetricsGuard {
 public:
  // `client` is needed for Reviewed only, and outlives the guard.
  explicit MetricsGuard(MetricsAccess access, kube::Client* client = nullptr);
  ~MetricsGuard();

  // 200, 401 (no or a wrong token), 403, or 503 while Kubernetes does not answer. What was reviewed is
  // remembered for a minute.
  Task<int> ask(const http::RequestHead& request, const net::Address& peer);

 private:
  struct Verdict {
    int status = 0;
    TimePoint until;
  };
  Task<int> review(std::string token);

  const MetricsAccess access_;
  kube::Client* const client_;
  std::map<std::string, Verdict, std::less<>> verdicts_;  // by the token's SHA-256
};

}  // namespace llmd::extproc
