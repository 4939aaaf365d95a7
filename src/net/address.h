// host:port as people write it: "127.0.0.1:8000", "[::1]:8000", "localhost:80".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::net {

struct Address {
  std::string host;  // IPv4, IPv6 without brackets, or a name
  std::uint16_t port = 0;

  std::string to_string() const;  // brackets around IPv6
  bool is_loopback() const;       // 127.0.0.0/8, ::1 or "localhost"
  auto operator<=>(const Address&) const = default;
};

Result<Address> parse_address(std::string_view text);

}  // namespace llmd::net
