#include "gateway/upstreams.h"

#include "base/assert.h"
#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

constexpr std::size_t kMaxIdle = 256;  // connections of HTTP/1.1 to one address

std::shared_ptr<const net::TlsClient> client_of(const BackendTls& tls, bool http2) {
  auto made = net::make_tls_client({.ca_pem = tls.ca_pem, .http2 = http2, .server_name = tls.server_name});
  LLMD_ASSERT(made.has_value(), "certificates are checked when policies are read");
  return std::move(*made);
}

}  // namespace

Upstreams::Upstreams(async::EventLoop& loop)
    : loop_(loop), http1_(loop, {.max_idle_per_address = kMaxIdle}), http2_(loop.executor()) {}

void Upstreams::open(async::Scope& scope) {
  scope_ = &scope;
  http2_.open(scope);
}

void Upstreams::close() {
  scope_ = nullptr;
  http2_.close();
  for (auto& [tls, pool] : secure_http2_) {
    pool.close();
  }
}

http::Client& Upstreams::of(const BackendProtocol& protocol) {
  return protocol.http2 ? static_cast<http::Client&>(http2_of(protocol)) : http1_of(protocol);
}

http::ClientPool& Upstreams::http1_of(const BackendProtocol& protocol) {
  if (!protocol.tls) {
    return http1_;
  }
  auto known = secure_http1_.find(*protocol.tls);
  if (known == secure_http1_.end()) {
    const http::ClientOptions options{.tls = client_of(*protocol.tls, false),
                                      .max_idle_per_address = kMaxIdle};
    known = secure_http1_.try_emplace(*protocol.tls, loop_, options).first;
  }
  return known->second;
}

http::Http2Pool& Upstreams::http2_of(const BackendProtocol& protocol) {
  if (!protocol.tls) {
    return http2_;
  }
  auto known = secure_http2_.find(*protocol.tls);
  if (known == secure_http2_.end()) {
    known = secure_http2_.try_emplace(*protocol.tls, loop_.executor(), client_of(*protocol.tls, true)).first;
    if (scope_ != nullptr) {
      known->second.open(*scope_);
    }
  }
  return known->second;
}

}  // namespace llmd::gateway
