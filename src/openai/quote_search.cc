#include "openai/quote_search.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace llmd::openai {
namespace {

using Bytes16 = std::uint8_t __attribute__((vector_size(16)));
using Bytes32 = std::uint8_t __attribute__((vector_size(32)));

// Where neither occurs, most of a prompt, four vectors are asked at once. Returns a position from which at
// most four vectors are left before the hit or the end.
template <typename Bytes>
[[gnu::always_inline]] inline std::size_t skip_plain(const char* bytes, std::size_t at, std::size_t size) {
  constexpr std::size_t kStep = 4 * sizeof(Bytes);
  for (; at + kStep <= size; at += kStep) {
    Bytes part[4];
    std::memcpy(part, bytes + at, kStep);
    auto hits = (part[0] == '"') | (part[0] == '\\');
    for (int i = 1; i < 4; ++i) {
      hits |= (part[i] == '"') | (part[i] == '\\');
    }
    if (__builtin_reduce_or(hits) != 0) {
      break;
    }
  }
  return at;
}

std::size_t skip_plain_anywhere(const char* bytes, std::size_t at, std::size_t size) {
  return skip_plain<Bytes16>(bytes, at, size);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] std::size_t skip_plain_avx2(const char* bytes, std::size_t at, std::size_t size) {
  return skip_plain<Bytes32>(bytes, at, size);
}

const auto skip_plain_here = __builtin_cpu_supports("avx2") ? skip_plain_avx2 : skip_plain_anywhere;
#else
constexpr auto skip_plain_here = skip_plain_anywhere;
#endif

// The first hit among the 16 bytes at `bytes`; 16: none.
[[gnu::always_inline]] inline std::size_t first_of_16(const char* bytes) {
  Bytes16 part;
  std::memcpy(&part, bytes, sizeof part);
  const auto hits = (part == '"') | (part == '\\');
  std::uint64_t words[2];
  std::memcpy(words, &hits, sizeof words);
  static_assert(std::endian::native == std::endian::little, "the first byte is the lowest");
  return words[0] != 0   ? static_cast<std::size_t>(std::countr_zero(words[0])) / 8
         : words[1] != 0 ? 8 + static_cast<std::size_t>(std::countr_zero(words[1])) / 8
                         : 16;
}

}  // namespace

std::size_t find_quote_or_backslash(std::string_view bytes, std::size_t at) {
  // Names and escaped lines are short: the long strides are for what goes on behind a first look.
  constexpr std::size_t kFirstLook = 64;
  for (std::size_t looked = 0; at + 16 <= bytes.size(); at += 16, looked += 16) {
    if (looked == kFirstLook) {
      at = skip_plain_here(bytes.data(), at, bytes.size());
      if (at + 16 > bytes.size()) {
        break;
      }
    }
    const std::size_t hit = first_of_16(bytes.data() + at);
    if (hit < 16) {
      return at + hit;
    }
  }
  while (at < bytes.size() && bytes[at] != '"' && bytes[at] != '\\') {
    ++at;
  }
  return at;
}

}  // namespace llmd::openai
