#include "net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/strings.h"

namespace llmd::net {

std::string Address::to_string() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

bool Address::is_loopback() const {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return equals_ignoring_case(host, "localhost");
}

Result<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return invalid_argument("'{}': expected host:port", text).hint("write for instance 127.0.0.1:8080");
  }
  std::string_view host = text.substr(0, colon);
  const auto port = parse_integer(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) {
    return invalid_argument("'{}': the port must be a number from 0 to 65535", text);
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid_argument("'{}': an IPv6 address needs brackets", text)
        .hint("write for instance [::1]:8080");
  }
  if (host.empty() || host.find_first_of(" \t\r\n/@[]") != std::string_view::npos) {
    return invalid_argument("'{}': not a host name or address", text);
  }
  return Address{std::string(host), static_cast<std::uint16_t>(*port)};
}

}  // namespace llmd::net
