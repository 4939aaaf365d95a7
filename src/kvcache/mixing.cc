#include "kvcache/mixing.h"

#include <cstring>

#include "crypto/random.h"

namespace llmd::kvcache {

std::uint64_t process_secret() {
  static const std::uint64_t secret = [] {
    std::uint64_t value = 0;
    const auto bytes = crypto::random_bytes(sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    return value | 1;
  }();
  return secret;
}

}  // namespace llmd::kvcache
