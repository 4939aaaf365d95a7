#include "node/address_pool.h"

#include <functional>

namespace llmd::node {

AddressPool::AddressPool(const std::filesystem::path& data)
    : network_(64 + static_cast<int>(std::hash<std::string>()(data.string()) % 64)) {}

Result<std::string> AddressPool::take() {
  for (int host = 1; host < 64000; ++host) {
    std::string address = fmt::format("127.{}.{}.{}", network_, host / 250, 1 + host % 250);
    if (taken_.insert(address).second) {
      return address;
    }
  }
  return resource_exhausted("no free pod address in 127.{}.0.0/16", network_);
}

void AddressPool::claim(const std::string& address) {
  taken_.insert(address);
}
void AddressPool::give_back(const std::string& address) {
  taken_.erase(address);
}

}  // namespace llmd::node
