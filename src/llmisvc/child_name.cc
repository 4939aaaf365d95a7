#include "llmisvc/child_name.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cctype>

#include "base/assert.h"

namespace llmd::llmisvc {
namespace {

constexpr std::size_t kLongest = 63;  // of a DNS label
constexpr std::size_t kHash = 32;     // hexadecimal digits of an MD5
constexpr std::size_t kHead = kLongest - kHash;

std::string md5_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const int ok = EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_md5(), nullptr);
  LLMD_ASSERT(ok == 1, "MD5 is available");
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += fmt::format("{:02x}", digest[i]);
  }
  return hex;
}

}  // namespace

std::string child_name(std::string_view parent, std::string_view suffix) {
  // 1. Both fit.
  if (parent.size() + suffix.size() <= kLongest) {
    return std::string(parent) + std::string(suffix);
  }
  // 2. A short suffix stays whole behind the hash of the parent.
  if (suffix.size() < kHead) {
    return std::string(parent.substr(0, kHead - suffix.size())) + md5_hex(parent) + std::string(suffix);
  }
  // 3. A long suffix is hashed too; what fits of it is appended, without a trailing punctuation mark.
  std::string name =
      std::string(parent.substr(0, kHead)) + md5_hex(std::string(parent) + std::string(suffix));
  name += suffix.substr(0, kLongest - std::min(kLongest, name.size()));
  while (!name.empty() && std::isalnum(static_cast<unsigned char>(name.back())) == 0) {
    name.pop_back();
  }
  return name;
}

}  // namespace llmd::llmisvc
