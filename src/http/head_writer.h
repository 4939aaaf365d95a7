// Turns heads into bytes. Private to http.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "http/message.h"

namespace llmd::http {

struct ResponseFraming {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool http_1_0 = false;
};

// Appends the head with its empty line. Framing fields, Date and Server are ours; those in `head` are left
// out.
void append_response(std::string& out, const ResponseHead& head, const ResponseFraming& framing,
                     std::string_view server);

struct RequestFraming {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
};
void append_request(std::string& out, const RequestHead& head, const RequestFraming& framing,
                    std::string_view host);

// The value of the Date field; valid until the next call.
std::string_view date_now();

// The last chunk with trailers behind it.
void append_chunked_end(std::string& out, const Headers& trailers);

// "1a\r\n" in the given space; the view points into it.
std::string_view chunk_size_line(std::size_t size, std::span<char, 20> space);

}  // namespace llmd::http
