// The CBOR subset that block hashes need (RFC 7049 §3.9, canonical: shortest heads, definite lengths),
// written into any sink with put(byte) and put(bytes): a string, or a hash that consumes it as it comes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llmd::kvcache {

struct StringSink {
  std::string bytes;
  void put(std::uint8_t byte) { bytes.push_back(static_cast<char>(byte)); }
  void put(std::string_view text) { bytes.append(text); }
};

struct Fnv1aSink {
  std::uint64_t hash = 0xcbf29ce484222325;
  void put(std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3ULL; }
  void put(std::string_view text) {
    for (const char c : text) {
      put(static_cast<std::uint8_t>(c));
    }
  }
};

template <typename Sink>
void cbor_head(Sink& sink, unsigned major, std::uint64_t value) {
  const auto type = static_cast<std::uint8_t>(major << 5);
  int bytes = 0;
  if (value < 24) {
    sink.put(static_cast<std::uint8_t>(type | value));
  } else if (value <= 0xff) {
    sink.put(static_cast<std::uint8_t>(type | 24));
    bytes = 1;
  } else if (value <= 0xffff) {
    sink.put(static_cast<std::uint8_t>(type | 25));
    bytes = 2;
  } else if (value <= 0xffffffff) {
    sink.put(static_cast<std::uint8_t>(type | 26));
    bytes = 4;
  } else {
    sink.put(static_cast<std::uint8_t>(type | 27));
    bytes = 8;
  }
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    sink.put(static_cast<std::uint8_t>(value >> shift));
  }
}

template <typename Sink>
void cbor_unsigned(Sink& sink, std::uint64_t value) {
  cbor_head(sink, 0, value);
}
template <typename Sink>
void cbor_bytes(Sink& sink, std::string_view bytes) {
  cbor_head(sink, 2, bytes.size());
  sink.put(bytes);
}
template <typename Sink>
void cbor_text(Sink& sink, std::string_view text) {
  cbor_head(sink, 3, text.size());
  sink.put(text);
}
template <typename Sink>
void cbor_array(Sink& sink, std::size_t size) {
  cbor_head(sink, 4, size);
}
template <typename Sink>
void cbor_map(Sink& sink, std::size_t size) {
  cbor_head(sink, 5, size);
}
template <typename Sink>
void cbor_nil(Sink& sink) {
  sink.put(std::uint8_t{0xf6});
}

}  // namespace llmd::kvcache
