#include "node/address_pool.h"

#include <functional>

namespace llmd::node {
namespace {

constexpr int kNetworks = 64 * 64;
constexpr int kAddresses = 1000;

}  // namespace

AddressPool::AddressPool(const std::filesystem::path& data)
    : network_(static_cast<int>(std::hash<std::string>()(data.string()) % kNetworks)) {}

Result<std::string> AddressPool::take() {
  for (int host = 0; host < kAddresses; ++host) {
    std::string address =
        fmt::format("127.{}.{}.{}", 64 + network_ / 64, 4 * (network_ % 64) + host / 250, 1 + host % 250);
    if (taken_.insert(address).second) {
      return address;
    }
  }
  return resource_exhausted("all {} pod addresses of this node are taken", kAddresses);
}

void AddressPool::claim(const std::string& address) {
  taken_.insert(address);
}
void AddressPool::give_back(const std::string& address) {
  taken_.erase(address);
}

}  // namespace llmd::node
