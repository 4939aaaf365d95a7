#include "http/http2_fields.h"

#include <array>

#include "base/strings.h"

namespace llmd::http {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// RFC 9113, section 8.2.2. Host travels as :authority.
bool belongs_to_connection(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "connection",     "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
      "http2-settings", "host"};
  for (const std::string_view each : kNames) {
    if (equals_ignoring_case(name, each)) {
      return true;
    }
  }
  return equals_ignoring_case(name, "te") && value != "trailers";
}

}  // namespace

void Http2Fields::add(std::string_view name, std::string_view value) {
  for (const char c : name) {
    text_ += lower(c);
  }
  text_ += value;
  fields_.push_back({name.size(), value.size()});
}

void Http2Fields::add_all(const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!belongs_to_connection(name, value)) {
      add(name, value);
    }
  }
}

std::vector<nghttp2_nv> Http2Fields::build() {
  std::vector<nghttp2_nv> out;
  out.reserve(fields_.size());
  auto* at = reinterpret_cast<std::uint8_t*>(text_.data());
  for (const Field& field : fields_) {
    out.push_back({at, at + field.name_size, field.name_size, field.value_size, NGHTTP2_NV_FLAG_NONE});
    at += field.name_size + field.value_size;
  }
  return out;
}

}  // namespace llmd::http
