// CIDR networks: which addresses may be named by hand, and whose headers are trusted. Plain data; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::gateway {

class Network {
 public:
  // "10.0.0.0/8", "fd00::/8", or one address. InvalidArgument otherwise.
  static Result<Network> parse(std::string_view text);
  // False for what is no IP address: names are resolved by those who know what for. IPv4 written inside IPv6
  // (::ffff:10.0.0.1) counts as IPv4.
  bool contains(std::string_view address) const;

 private:
  std::array<std::uint8_t, 16> bits_{};  // IPv4 as ::ffff:a.b.c.d
  int length_ = 0;                       // of the prefix, in these 128 bits
};

bool contains(std::span<const Network> networks, std::string_view address);

}  // namespace llmd::gateway
