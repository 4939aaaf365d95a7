#include "crypto/random.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/assert.h"
#include "crypto/encode.h"

namespace llmd::crypto {

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  const int done = RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count));
  LLMD_ASSERT(done == 1, "the operating system has a random generator");
  return bytes;
}

std::string random_hex(std::size_t count) {
  return to_hex(random_bytes(count));
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace llmd::crypto
