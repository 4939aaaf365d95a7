// Strict HTTP/1 heads (RFC 9112). What two parsers could read differently is refused, because a proxy and the
// server behind it would then disagree about where a request ends. Pure; no I/O.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace llmd::http {

// Why a request was refused, and the status the server answers with.
struct Refusal {
  int status = 400;
  std::string_view reason;
  bool operator==(const Refusal&) const = default;
};

// Looks for the end of a head in bytes that grow. Remembers how far it looked.
class HeadScanner {
 public:
  // The size of the head including its empty line; nullopt: more bytes are needed. A bare LF is refused.
  std::expected<std::optional<std::size_t>, Refusal> scan(std::string_view bytes);
  void reset() { looked_at_ = 0; }

 private:
  std::size_t looked_at_ = 0;
};

// How long the body is.
struct Framing {
  enum class Kind { None, Length, Chunked, UntilClose };
  Kind kind = Kind::None;
  std::uint64_t length = 0;
  bool operator==(const Framing&) const = default;
};

struct ParsedRequest {
  RequestHead head;
  Framing framing;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

struct ParsedResponse {
  ResponseHead head;
  Framing framing;
  bool keep_alive = true;
};

// `text` is one whole head as HeadScanner found it. The absolute form of a target becomes the origin form,
// its authority the Host. The parsed object is overwritten; reusing it saves allocations.
std::optional<Refusal> parse_request(std::string_view text, ParsedRequest& out);
// `method` is the request's: it decides whether there is a body.
std::optional<Refusal> parse_response(std::string_view text, std::string_view method, ParsedResponse& out);

// The name of a field, or a method (RFC 9110, section 5.6.2).
bool is_token(std::string_view text);
// What Host may say: a host with or without a port; empty is allowed. No path, no credentials.
bool is_authority(std::string_view text);

}  // namespace llmd::http
