#include "http/head_writer.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "base/strings.h"

namespace llmd::http {

// Formatting a date costs more than everything else here: once per second is enough.
std::string_view date_now() {
  thread_local std::time_t formatted_at = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != formatted_at) {
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char buffer[64];
    const std::size_t size = std::strftime(buffer, sizeof(buffer), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    text.assign(buffer, size);
    formatted_at = now;
  }
  return text;
}

namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  // A line break in a value would let it end the head; nothing legal contains one.
  if (value.find_first_of("\r\n") == std::string_view::npos) {
    out += value;
  }
  out += "\r\n";
}

void append_number(std::string& out, std::uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  out.append(digits, end);
}

bool is_framing_field(std::string_view name) {
  switch (name.size()) {
    case 10:
      return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 14:
      return equals_ignoring_case(name, "content-length");
    case 17:
      return equals_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

bool asks_for_upgrade(const Headers& headers) {
  return headers.has("Upgrade");
}

}  // namespace

void append_response(std::string& out, const ResponseHead& head, const ResponseFraming& framing,
                     std::string_view server) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(head.status));
  out += ' ';
  out += reason_phrase(head.status);
  out += "\r\n";
  bool has_date = false;
  bool has_server = server.empty();
  for (const auto& [name, value] : head.headers) {
    if (is_framing_field(name)) {
      continue;
    }
    has_date = has_date || equals_ignoring_case(name, "date");
    has_server = has_server || equals_ignoring_case(name, "server");
    append_field(out, name, value);
  }
  if (!has_date) {
    append_field(out, "Date", date_now());
  }
  if (!has_server) {
    append_field(out, "Server", server);
  }
  if (framing.content_length) {
    out += "Content-Length: ";
    append_number(out, *framing.content_length);
    out += "\r\n";
  } else if (framing.chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (head.status == 101) {
    out += "Connection: Upgrade\r\n";
  } else if (!framing.keep_alive) {
    out += "Connection: close\r\n";
  } else if (framing.http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

void append_request(std::string& out, const RequestHead& head, const RequestFraming& framing,
                    std::string_view host) {
  out += head.method;
  out += ' ';
  out += head.target.empty() ? std::string_view("/") : std::string_view(head.target);
  out += " HTTP/1.1\r\n";
  if (!head.headers.has("Host")) {
    append_field(out, "Host", host);
  }
  for (const auto& [name, value] : head.headers) {
    if (!is_framing_field(name)) {
      append_field(out, name, value);
    }
  }
  if (framing.content_length) {
    out += "Content-Length: ";
    append_number(out, *framing.content_length);
    out += "\r\n";
  } else if (framing.chunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (asks_for_upgrade(head.headers)) {
    out += "Connection: Upgrade\r\n";
  }
  out += "\r\n";
}

std::string_view chunk_size_line(std::size_t size, std::span<char, 20> space) {
  char* end = std::to_chars(space.data(), space.data() + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {space.data(), static_cast<std::size_t>(end - space.data())};
}

void append_chunked_end(std::string& out, const Headers& trailers) {
  out += "0\r\n";
  for (const auto& [name, value] : trailers) {
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  out += "\r\n";
}

}  // namespace llmd::http
