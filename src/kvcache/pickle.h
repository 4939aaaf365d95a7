// The pickle subset (protocol 5, as CPython's C implementation writes it) that engine hashes need: bytes,
// text, unsigned integers, None and tuples, in one frame.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llmd::kvcache {

class Pickle {
 public:
  void bytes(std::string_view value) {
    sized('C', 'B', value);
    memoize();
  }
  void text(std::string_view value) {
    sized('\x8c', 'X', value);
    memoize();
  }
  void none() { body_ += 'N'; }
  void integer(std::uint32_t value);
  // Before and after the members; up to three have opcodes of their own, without a mark.
  void begin_tuple(std::size_t count) {
    if (count > 3) {
      body_ += '(';
    }
  }
  void end_tuple(std::size_t count) {
    body_ += count == 0 ? ')' : count == 1 ? '\x85' : count == 2 ? '\x86' : count == 3 ? '\x87' : 't';
    if (count > 0) {  // the empty tuple is a constant
      memoize();
    }
  }
  std::string finish();

 private:
  void memoize() { body_ += '\x94'; }
  void little_endian(std::uint64_t value, int bytes);
  void sized(char short_code, char code, std::string_view value);

  std::string body_;
};

}  // namespace llmd::kvcache
