// Connections that become something else than HTTP/1.1 (WebSocket): the request travels with its Upgrade
// header, and after 101 bytes go both ways until one side ends, the idle time passes without any, or the
// total deadline does. Any other answer is passed on as it is. HTTP/1.1 on both sides.
#pragma once

#include "proxy/relay.h"

namespace llmd::proxy {

bool asks_for_upgrade(const http::RequestHead& request);

// `client` speaks HTTP/1.1. `request.head` as for relay(); the Upgrade header of `exchange` is added.
Task<RelayOutcome> tunnel(http::Exchange& exchange, http::Client& client, Targets& targets,
                          RelayRequest request, RelayOptions options);

}  // namespace llmd::proxy
