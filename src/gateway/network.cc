#include "gateway/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

constexpr int kMappedPrefix = 96;

std::optional<std::array<std::uint8_t, 16>> bytes_of(std::string_view text) {
  const std::string address(text);
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    return bytes;
  }
  bytes[10] = bytes[11] = 0xff;
  if (inet_pton(AF_INET, address.c_str(), bytes.data() + 12) == 1) {
    return bytes;
  }
  return std::nullopt;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const auto bits = bytes_of(address);
  const bool ipv4 = address.find(':') == std::string_view::npos;
  const int longest = ipv4 ? 32 : 128;
  const auto length = slash == std::string_view::npos ? std::optional<long long>(longest)
                                                      : parse_integer(text.substr(slash + 1));
  if (!bits || !length || *length < 0 || *length > longest) {
    return invalid_argument("\"{}\" is no network", text).hint("write it as 10.0.0.0/8 or fd00::/8");
  }
  Network network;
  network.bits_ = *bits;
  network.length_ = static_cast<int>(*length) + (ipv4 ? kMappedPrefix : 0);
  return network;
}

bool Network::contains(std::string_view address) const {
  const auto bits = bytes_of(address);
  if (!bits) {
    return false;
  }
  const auto whole = static_cast<std::size_t>(length_ / 8);
  if (std::memcmp(bits->data(), bits_.data(), whole) != 0) {
    return false;
  }
  const int rest = length_ % 8;
  const int mask = rest == 0 ? 0 : (0xff << (8 - rest)) & 0xff;
  return rest == 0 || ((*bits)[whole] & mask) == (bits_[whole] & mask);
}

bool contains(std::span<const Network> networks, std::string_view address) {
  return std::ranges::any_of(networks, [&](const Network& network) { return network.contains(address); });
}

}  // namespace llmd::gateway
