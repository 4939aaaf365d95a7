// Header rules of a reverse proxy: what travels on, what belongs to one hop, what the proxy adds. Pure.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "net/address.h"

namespace llmd::proxy {

// What the proxy knows and the upstream should.
struct Forwarded {
  net::Address client;
  std::string_view scheme = "http";
  std::string_view request_id;  // used when the client sent none
};

// Without the headers of one hop (Connection and those it names, Keep-Alive, TE, Transfer-Encoding, Upgrade,
// ...), Content-Length and Expect, which the next hop gets anew; with X-Request-Id, X-Forwarded-For, -Proto
// and -Host.
http::Headers forwarded_request_headers(const http::Headers& arrived, const Forwarded& forwarded);

// Without the headers of one hop; Content-Length stays.
http::Headers forwarded_response_headers(const http::Headers& arrived);

// Fields behind a body that mean something there: none that frame, route, authenticate or describe the
// message (RFC 9110, section 6.5.1).
http::Headers forwarded_trailers(const http::Headers& arrived);

// 32 hexadecimal digits, unique enough to find one request in the logs of all processes.
std::string make_request_id();

}  // namespace llmd::proxy
