// Copies of requests that go to other backends. Nobody waits for their answers: they are read away, failures
// change nothing. At most kMost run at a time, more are dropped. One loop; private to gateway.
#pragma once

#include <memory>
#include <string>

#include "async/scope.h"
#include "gateway/mirror_feed.h"
#include "gateway/shared.h"
#include "gateway/upstreams.h"
#include "http/client.h"

namespace llmd::gateway {

class Mirrors {
 public:
  Mirrors(Shared& shared, Upstreams& upstreams, Executor executor)
      : shared_(shared), upstreams_(upstreams), executor_(executor) {}

  // `body` is copied. `scope` outlives the copy's exchange.
  void send(async::Scope& scope, std::shared_ptr<const Routing> routing, const std::string& backend,
            const http::RequestHead& head, std::string_view body);
  // Of a gRPC call while it runs: its messages are added to the result. Null: too many run.
  std::shared_ptr<MirrorFeed> follow(async::Scope& scope, std::shared_ptr<const Routing> routing,
                                     const std::string& backend, http::RequestHead head);

 private:
  static constexpr int kMost = 100;
  Task<void> run(std::shared_ptr<const Routing> routing, std::string backend, http::RequestHead head,
                 std::string body);
  Task<void> run_call(std::shared_ptr<const Routing> routing, std::string backend, http::RequestHead head,
                      std::shared_ptr<MirrorFeed> feed);
  Task<void> send(const Routing& routing, const std::string& backend, http::ClientRequest call, bool grpc);

  Shared& shared_;
  Upstreams& upstreams_;
  Executor executor_;
  int running_ = 0;
};

}  // namespace llmd::gateway
