// Loopback addresses for pods. Linux answers on all of 127.0.0.0/8, so every pod can listen on port 8000 of
// an address of its own. Two data directories on one machine draw from different networks: one that reached
// the other's engine would call it ready.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "base/result.h"

namespace llmd::node {

class AddressPool {
 public:
  // A thousand addresses of 127.64.0.0/10, which thousand by a hash of the data directory (4096 choices).
  explicit AddressPool(const std::filesystem::path& data);

  Result<std::string> take();              // the lowest free one; ResourceExhausted past 1000 pods
  void claim(const std::string& address);  // of an adopted pod
  void give_back(const std::string& address);

 private:
  int network_;
  std::set<std::string> taken_;
};

}  // namespace llmd::node
