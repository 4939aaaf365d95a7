// Loopback addresses for pods. Linux answers on all of 127.0.0.0/8, so every pod can listen on port 8000 of
// an address of its own. Two data directories on one machine draw from different /16 networks.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "base/result.h"

namespace llmd::node {

class AddressPool {
 public:
  // 127.<64..127>.x.y, the second byte from a hash of the data directory.
  explicit AddressPool(const std::filesystem::path& data);

  Result<std::string> take();              // the lowest free one; ResourceExhausted past 64,000 pods
  void claim(const std::string& address);  // of an adopted pod
  void give_back(const std::string& address);

 private:
  int network_;
  std::set<std::string> taken_;
};

}  // namespace llmd::node
