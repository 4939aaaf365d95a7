// Copies of requests that go to other backends. Nobody waits for their answers: they are read away, failures
// are counted only. At most kMost run at a time, more are dropped. One loop; private to gateway.
#pragma once

#include <memory>
#include <string>

#include "async/scope.h"
#include "gateway/shared.h"
#include "gateway/upstreams.h"
#include "http/client.h"

namespace llmd::gateway {

class Mirrors {
 public:
  Mirrors(Shared& shared, Upstreams& upstreams) : shared_(shared), upstreams_(upstreams) {}

  // `body` is copied. `scope` outlives the copy's exchange.
  void send(async::Scope& scope, std::shared_ptr<const Routing> routing, const std::string& backend,
            const http::RequestHead& head, std::string_view body);

 private:
  static constexpr int kMost = 100;
  Task<void> run(std::shared_ptr<const Routing> routing, std::string backend, http::RequestHead head,
                 std::string body);

  Shared& shared_;
  Upstreams& upstreams_;
  int running_ = 0;
};

}  // namespace llmd::gateway
