// One loop's connections to upstreams, by the protocol that a backend speaks. Private to gateway; one loop.
#pragma once

#include <map>

#include "gateway/route_table.h"
#include "http/client.h"
#include "http/http2_pool.h"

namespace llmd::gateway {

class Upstreams {
 public:
  explicit Upstreams(async::EventLoop& loop);

  // `scope` runs connections of HTTP/2 and is closed after close().
  void open(async::Scope& scope);
  void close();

  http::Client& of(const BackendProtocol& protocol);
  // Whatever it says of HTTP/2.
  http::ClientPool& http1_of(const BackendProtocol& protocol);
  http::Http2Pool& http2_of(const BackendProtocol& protocol);

 private:
  async::EventLoop& loop_;
  async::Scope* scope_ = nullptr;
  http::ClientPool http1_;
  http::Http2Pool http2_;
  // Made when they are first needed.
  std::map<BackendTls, http::ClientPool> secure_http1_;
  std::map<BackendTls, http::Http2Pool> secure_http2_;
};

}  // namespace llmd::gateway
