// Relay of one gRPC call over HTTP/2: messages go both ways at the same time while they come, trailers at the
// end. Nothing is held, so nothing is tried again once the call has reached a server; a server that cannot be
// reached is replaced by the next target.
//
// Errors are gRPC's: HTTP status 200 with grpc-status and grpc-message, in the head or, once messages have
// gone to the client, in the trailers: UNAVAILABLE, DEADLINE_EXCEEDED (grpc-timeout, or one of the options).
#pragma once

#include "http/http2_pool.h"
#include "proxy/relay.h"

namespace llmd::proxy {

bool is_grpc(const http::RequestHead& request);

// `request.body` and `.trailers` are not looked at: the exchange's own body is sent.
Task<RelayOutcome> relay_duplex(http::Exchange& exchange, http::Http2Pool& pool, Targets& targets,
                                RelayRequest request, RelayOptions options);

// Answers with a status, unless the answer has begun.
Task<void> answer_grpc_error(http::Exchange& exchange, const Error& error);

}  // namespace llmd::proxy
