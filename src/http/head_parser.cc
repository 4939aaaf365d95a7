#include "http/head_parser.h"

#include <algorithm>

#include <array>
#include <cstring>

#include "base/strings.h"

namespace llmd::http {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
constexpr auto kToken = make_token_table();

bool is_field_value(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
      return false;
    }
  }
  return true;
}

bool is_target(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      return false;
    }
  }
  return !text.empty();
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// Takes one line without its CRLF. HeadScanner made sure that every LF has its CR.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end - 1);
  text.remove_prefix(end + 1);
  return line;
}

// What the header fields say about framing, collected while they are read.
struct FramingFields {
  std::optional<std::uint64_t> content_length;
  std::string_view transfer_encoding;
  int transfer_encodings = 0;
  int hosts = 0;
  bool close = false;
  bool keep_alive = false;
  std::string_view expect;
};

std::optional<Refusal> note_content_length(std::string_view value, FramingFields& fields) {
  if (value.empty() || value.size() > 18 || value.find_first_not_of("0123456789") != std::string_view::npos) {
    return Refusal{400, "Content-Length is not a number"};
  }
  const auto length = static_cast<std::uint64_t>(*parse_integer(value));
  if (fields.content_length && *fields.content_length != length) {
    return Refusal{400, "Content-Length is given twice with different values"};
  }
  fields.content_length = length;
  return std::nullopt;
}

std::optional<Refusal> note_field(std::string_view name, std::string_view value, FramingFields& fields) {
  switch (name.size()) {
    case 4:
      if (equals_ignoring_case(name, "host")) {
        ++fields.hosts;
        if (!is_authority(value)) {
          return Refusal{400, "Host is not valid"};
        }
      }
      break;
    case 6:
      if (equals_ignoring_case(name, "expect")) {
        fields.expect = value;
      }
      break;
    case 10:
      if (equals_ignoring_case(name, "connection")) {
        for (const std::string_view item : split(value, ',')) {
          fields.close = fields.close || equals_ignoring_case(trim(item), "close");
          fields.keep_alive = fields.keep_alive || equals_ignoring_case(trim(item), "keep-alive");
        }
      }
      break;
    case 14:
      if (equals_ignoring_case(name, "content-length")) {
        return note_content_length(value, fields);
      }
      break;
    case 17:
      if (equals_ignoring_case(name, "transfer-encoding")) {
        fields.transfer_encoding = value;
        ++fields.transfer_encodings;
      }
      break;
    default:
      break;
  }
  return std::nullopt;
}

std::optional<Refusal> parse_fields(std::string_view text, Headers& headers, FramingFields& fields) {
  while (true) {
    const std::string_view line = take_line(text);
    if (line.empty()) {
      return std::nullopt;
    }
    if (line.front() == ' ' || line.front() == '\t') {
      return Refusal{400, "a header field is continued on the next line"};
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return Refusal{400, "a header field has no valid name"};
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_field_value(value)) {
      return Refusal{400, "a header value contains control characters"};
    }
    if (auto refusal = note_field(name, value, fields)) {
      return refusal;
    }
    headers.add(std::string(name), std::string(value));
  }
}

// Only "chunked" alone is spoken. Other codings are legal but not implemented, when chunked comes last.
std::optional<Refusal> check_transfer_encoding(const FramingFields& fields) {
  if (fields.content_length) {
    return Refusal{400, "both Content-Length and Transfer-Encoding are given"};
  }
  if (fields.transfer_encodings == 1 && equals_ignoring_case(fields.transfer_encoding, "chunked")) {
    return std::nullopt;
  }
  const auto codings = split(fields.transfer_encoding, ',');
  bool known = fields.transfer_encodings == 1 && equals_ignoring_case(trim(codings.back()), "chunked");
  for (std::size_t i = 0; i + 1 < codings.size(); ++i) {
    const std::string_view coding = trim(codings[i]);
    known = known && (equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "deflate"));
  }
  return known ? Refusal{501, "only the transfer coding 'chunked' is supported"}
               : Refusal{400, "Transfer-Encoding is not valid"};
}

// http://host/path -> target /path, Host: host.
std::optional<Refusal> to_origin_form(RequestHead& head) {
  const std::string_view target = head.target;
  if (target.front() == '/' || (target == "*" && head.method == "OPTIONS") || head.method == "CONNECT") {
    return std::nullopt;
  }
  const bool http = target.size() > 7 && equals_ignoring_case(target.substr(0, 7), "http://");
  const bool https = target.size() > 8 && equals_ignoring_case(target.substr(0, 8), "https://");
  if (!http && !https) {
    return Refusal{400, "the request target is not valid"};
  }
  const std::string_view rest = target.substr(http ? 7 : 8);
  const std::size_t end = rest.find_first_of("/?");
  const std::string authority(rest.substr(0, end));
  if (authority.empty() || !is_authority(authority)) {
    return Refusal{400, "the request target is not valid"};
  }
  std::string origin(end == std::string_view::npos ? std::string_view("/") : rest.substr(end));
  if (origin.front() == '?') {
    origin.insert(origin.begin(), '/');
  }
  head.headers.set("Host", authority);
  head.target = std::move(origin);
  return std::nullopt;
}

std::optional<Refusal> parse_request_line(std::string_view line, ParsedRequest& out) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return Refusal{400, "the request line is not valid"};
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || !is_target(target)) {
    return Refusal{400, "the request line is not valid"};
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool other = version.size() == 8 && version.starts_with("HTTP/");
    return other ? Refusal{505, "only HTTP/1.0 and HTTP/1.1 are supported"}
                 : Refusal{400, "the request line is not valid"};
  }
  out.http_1_0 = version == "HTTP/1.0";
  out.head.method = method;
  out.head.target = target;
  return std::nullopt;
}

}  // namespace

bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!kToken[static_cast<unsigned char>(c)]) {
      return false;
    }
  }
  return !text.empty();
}

bool is_authority(std::string_view text) {
  constexpr std::string_view kOthers = "-._~!$&'()*+,;=%:[]";
  return std::ranges::all_of(text, [kOthers](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

std::expected<std::optional<std::size_t>, Refusal> HeadScanner::scan(std::string_view bytes) {
  while (looked_at_ < bytes.size()) {
    const std::size_t line_end = bytes.find('\n', looked_at_);
    if (line_end == std::string_view::npos) {
      looked_at_ = bytes.size();
      break;
    }
    if (line_end == 0 || bytes[line_end - 1] != '\r') {
      return std::unexpected(Refusal{400, "a line of the head does not end with CRLF"});
    }
    looked_at_ = line_end + 1;
    if (line_end == 1 || (line_end >= 2 && bytes[line_end - 2] == '\n')) {
      return line_end + 1;
    }
  }
  return std::nullopt;
}

std::optional<Refusal> parse_request(std::string_view text, ParsedRequest& out) {
  out.head.headers.clear();
  out.framing = {};
  if (auto refusal = parse_request_line(take_line(text), out)) {
    return refusal;
  }
  FramingFields fields;
  if (auto refusal = parse_fields(text, out.head.headers, fields)) {
    return refusal;
  }
  if (fields.hosts > 1) {
    return Refusal{400, "Host is given more than once"};
  }
  if (fields.hosts == 0 && !out.http_1_0) {
    return Refusal{400, "Host is missing"};
  }
  if (fields.transfer_encodings > 0) {
    if (out.http_1_0) {
      return Refusal{400, "Transfer-Encoding in an HTTP/1.0 request"};
    }
    if (auto refusal = check_transfer_encoding(fields)) {
      return refusal;
    }
    out.framing = {Framing::Kind::Chunked, 0};
  } else if (fields.content_length.value_or(0) > 0) {
    out.framing = {Framing::Kind::Length, *fields.content_length};
  }
  if (!fields.expect.empty() && !equals_ignoring_case(fields.expect, "100-continue")) {
    return Refusal{417, "only 'Expect: 100-continue' is supported"};
  }
  out.expects_continue = !fields.expect.empty() && !out.http_1_0 && out.framing.kind != Framing::Kind::None;
  out.keep_alive = out.http_1_0 ? fields.keep_alive && !fields.close : !fields.close;
  return to_origin_form(out.head);
}

std::optional<Refusal> parse_response(std::string_view text, std::string_view method, ParsedResponse& out) {
  out.head.headers.clear();
  out.framing = {};
  const std::string_view line = take_line(text);
  const bool well_formed = line.size() >= 12 &&
                           (line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ")) &&
                           (line.size() == 12 || line[12] == ' ') && is_field_value(line);
  const auto status = well_formed ? parse_integer(line.substr(9, 3)) : std::nullopt;
  if (!status || *status < 100 || *status > 599) {
    return Refusal{502, "the status line is not valid"};
  }
  out.head.status = static_cast<int>(*status);
  FramingFields fields;
  if (auto refusal = parse_fields(text, out.head.headers, fields)) {
    return refusal;
  }
  out.keep_alive = line[7] == '1' ? !fields.close : fields.keep_alive && !fields.close;
  const bool bodyless = method == "HEAD" || *status < 200 || *status == 204 || *status == 304;
  if (fields.transfer_encodings > 0) {
    if (auto refusal = check_transfer_encoding(fields)) {
      return refusal;
    }
  }
  if (bodyless) {
    return std::nullopt;
  }
  if (fields.transfer_encodings > 0) {
    out.framing = {Framing::Kind::Chunked, 0};
  } else if (fields.content_length) {
    out.framing = {*fields.content_length > 0 ? Framing::Kind::Length : Framing::Kind::None,
                   *fields.content_length};
  } else {
    out.framing = {Framing::Kind::UntilClose, 0};
    out.keep_alive = false;
  }
  return std::nullopt;
}

}  // namespace llmd::http
