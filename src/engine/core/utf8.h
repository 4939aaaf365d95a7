// Bytes to valid UTF-8, in pieces: what is complete comes out, what may still become a character stays in.
#pragma once

#include <string>
#include <string_view>

namespace llmd::engine {

class Utf8Repair {
 public:
  // Appends to `out` all characters that are complete; bytes that can belong to none become U+FFFD.
  void push(std::string_view bytes, std::string& out);
  // The end: an incomplete character becomes U+FFFD.
  void finish(std::string& out);

 private:
  std::string pending_;  // at most three bytes of a character that has begun
};

std::string repair_utf8(std::string_view bytes);

}  // namespace llmd::engine
