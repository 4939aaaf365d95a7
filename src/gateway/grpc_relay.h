// Requests that a GRPCRoute takes: relayed message by message, over HTTP/2 without TLS. Private to gateway;
// one loop.
#pragma once

#include "async/event.h"
#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "gateway/upstreams.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class GrpcRelay {
 public:
  GrpcRelay(Shared& shared, Upstreams& upstreams, async::Event& changed)
      : shared_(shared), upstreams_(upstreams), changed_(changed) {}

  struct Place {
    std::string_view scheme;
    bool trusted = false;
  };
  // `backend` null: all have weight 0.
  Task<proxy::RelayOutcome> relay(Visit& visit, std::shared_ptr<const Routing> routing, const Match& match,
                                  const BackendRef* backend, Place place);

 private:
  Shared& shared_;
  Upstreams& upstreams_;
  async::Event& changed_;
};

}  // namespace llmd::gateway
