#include "kvcache/pickle.h"

namespace llmd::kvcache {

void Pickle::little_endian(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    body_ += static_cast<char>(value >> (8 * i));
  }
}

void Pickle::sized(char short_code, char code, std::string_view value) {
  const bool is_short = value.size() <= 0xff;
  body_ += is_short ? short_code : code;
  little_endian(value.size(), is_short ? 1 : 4);
  body_ += value;
}

void Pickle::integer(std::uint32_t value) {
  if (value <= 0xff) {
    body_ += 'K';
    little_endian(value, 1);
  } else if (value <= 0xffff) {
    body_ += 'M';
    little_endian(value, 2);
  } else if (value <= 0x7fffffff) {
    body_ += 'J';
    little_endian(value, 4);
  } else {
    // Longer than a signed word: its length, and a fifth byte that keeps it positive.
    body_ += '\x8a';
    little_endian(5, 1);
    little_endian(value, 5);
  }
}

std::string Pickle::finish() {
  body_ += '.';
  std::string pickled = "\x80\x05\x95";
  const std::uint64_t size = body_.size();
  for (int i = 0; i < 8; ++i) {
    pickled += static_cast<char>(size >> (8 * i));
  }
  return pickled + body_;
}

}  // namespace llmd::kvcache
