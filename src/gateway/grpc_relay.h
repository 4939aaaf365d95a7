// Requests that a GRPCRoute takes: relayed message by message, over HTTP/2. A call to an InferencePool that
// is picked for elsewhere is held until its last message: the picker may want to read it. Private to gateway;
// one loop.
#pragma once

#include "async/event.h"
#include "gateway/external_relay.h"
#include "gateway/mirrors.h"
#include "gateway/shared.h"
#include "gateway/traffic.h"
#include "gateway/upstreams.h"
#include "proxy/relay.h"

namespace llmd::gateway {

class GrpcRelay {
 public:
  GrpcRelay(Shared& shared, Upstreams& upstreams, ExternalRelay& external, Mirrors& mirrors,
            async::Event& changed)
      : shared_(shared), upstreams_(upstreams), external_(external), mirrors_(mirrors), changed_(changed) {}

  struct Place {
    std::string_view scheme;
    bool trusted = false;
    unsigned turn = 0;              // of the weights
    async::Scope* scope = nullptr;  // of copies; null: the gateway ends
  };
  // `backend` null: all have weight 0.
  Task<proxy::RelayOutcome> relay(Visit& visit, std::shared_ptr<const Routing> routing, const Match& match,
                                  const BackendRef* backend, Place place);

 private:
  struct Call;
  Task<proxy::RelayOutcome> relay_here(Visit& visit, http::Exchange& exchange, Call call);
  Task<proxy::RelayOutcome> relay_elsewhere(Visit& visit, http::Exchange& exchange, Call call);

  Shared& shared_;
  Upstreams& upstreams_;
  ExternalRelay& external_;
  Mirrors& mirrors_;
  async::Event& changed_;
};

}  // namespace llmd::gateway
