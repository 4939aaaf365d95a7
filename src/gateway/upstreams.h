// One loop's connections to upstreams, by the protocol that a backend speaks. Private to gateway.
#pragma once

#include "gateway/route_table.h"
#include "http/client.h"
#include "http/http2_pool.h"

namespace llmd::gateway {

struct Upstreams {
  explicit Upstreams(async::EventLoop& loop)
      : http1(loop, {.max_idle_per_address = 256}), http2(loop.executor()) {}

  http::ClientPool http1;
  http::Http2Pool http2;  // plaintext

  http::Client& of(const Backend& backend) {
    return backend.http2 ? static_cast<http::Client&>(http2) : http1;
  }
};

}  // namespace llmd::gateway
